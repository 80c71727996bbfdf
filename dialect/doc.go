// Package dialect is the contract between the preparation repository and the engines that it runs on. Each engine has a
// package of its own, such as dialect/sqlite, with everything that other engines do differently. Callers ask an open
// database for a capability, never for an engine's name.
//
// Engine lists what an engine must do, and Facts what it states about itself. The interfaces of capabilities.go list
// what it may do, each beside the method of DB that has the default. All are in the order of a connection's life:
//
//  1. It is named in the configuration: Facts.Name, DefaultLocator, Engine.Claims.
//  2. Its URL is checked, and shown without secrets: Engine.CheckURL, Facts.Schemes, ConnectionStrings, Redact.
//  3. It is opened: Engine.Connect, Facts.PoolSize, PoolerNamer, SchemaMaker.
//  4. It is locked: Engine.LockUse, Engine.LockAll, Guard.
//  5. Its transactions begin and end: Tx, Sender, LogTrimmer, Facts.Snapshot, WriterNamer.
//  6. Statements run: Facts.Placeholder, Facts.ClaimLock, Engine.Among, Engine.BulkInsert, Notifier, Listener.
//  7. Errors are sorted and explained: Engine.Classify, Explainer.
//  8. It is inspected: Engine.Inspect, Engine.Size, Analyzer, Vacuumer, FileLister.
//  9. Its schema changes: Engine.LockSchema, Engine.RunScript, PathCopier.
//  10. It is backed up: PageCopier, Facts.MadeIndexes.
//
// Programs import dialect/engines for its effect, which registers all engines.
package dialect
