package main

import "reflect"

// jsonOutput is an object that a command prints with --json.
type jsonOutput struct {
	// when says when the command prints this object, if it prints several kinds of object.
	when   string
	fields []jsonField
}

// object is the output that is one value of a type.
func object[T any](when string) jsonOutput { return jsonOutput{when, jsonFields(reflect.TypeFor[T]())} }

// output is the output of a command that prints a list.
func (l list[V]) output(when string) jsonOutput {
	rows := jsonField{name: l.name, field: reflect.StructField{Type: reflect.TypeFor[[]V]()}}
	return jsonOutput{when, append([]jsonField{rows}, jsonFields(reflect.TypeFor[finished]())...)}
}

// jsonOutputs says what each command prints with --json. docs/reference/json.md is made from it, and tests compare it
// with what commands print.
func jsonOutputs() map[string][]jsonOutput {
	return map[string][]jsonOutput{
		"prepare":      {object[report](""), object[dryRun]("with --dry-run")},
		"upload":       {object[reportsView]("")},
		"worker":       {object[workerView]("with --exit-when-idle, when no work is left")},
		"upload ls":    {uploadList("").output("")},
		"upload show":  {object[uploadDetails]("")},
		"upload rm":    {object[removedView]("")},
		"upload prune": {object[removedView]("")},
		"upload tag":   {object[tagView]("")},
		"status":       {object[progressView]("; with --watch, one such object per line")},

		"space add":    {object[spaceView]("")},
		"space ls":     {spaceList.output("")},
		"space rename": {object[spaceView]("")},
		"space set":    {object[spaceView]("")},
		"space rm":     {object[removedSpace]("")},

		"source add":  {object[sourceView]("")},
		"source ls":   {list[sourceView]{name: "sources"}.output("")},
		"source show": {object[sourceDetails]("")},
		"source mv":   {object[sourceView]("")},
		"source rm":   {object[sourceView]("")},

		"store add":     {object[knownStore]("")},
		"store ls":      {storeList.output("")},
		"store set":     {object[knownStore]("")},
		"store default": {object[defaultStoreView]("")},
		"store rm":      {object[knownStore]("")},
		"store check":   {object[storeCheckView]("")},
		"store copy":    {object[storeCopyView]("")},
		"store sync":    {object[storeCopyView]("")},

		"shard ls":  {shardList("").output("")},
		"shard rm":  {object[removedShards]("")},
		"index ls":  {indexList("").output("")},
		"index cat": {object[indexContent]("")},
		"shard cat": {object[writtenView](", unless it writes to standard output")},

		"ls": {uploadList("").output("for a space"), entryList.output("for anything else")},
		"retrieve": {
			object[retrieveView](", unless it writes to standard output"), object[plannedOutput]("with --dry-run"),
		},
		"verify": {object[verifyOutput]("")},
		"export": {object[exportView](", unless it writes to standard output")},
		"diff":   {object[diffOutput]("")},
		"find":   {matchList.output("")},
		"stats":  {object[uploadStats]("for an upload"), object[repositoryStats]("without an upload")},
		"serve":  {object[served](", when it begins")},

		"check": {object[checkView]("")},
		"gc":    {object[gcView]("")},

		"config show":     {settingList.output("")},
		"db info":         {object[dbInfoView]("")},
		"migrate up":      {object[migratedView](""), object[planView]("with --dry-run")},
		"migrate down":    {object[migratedView](""), object[planView]("with --dry-run")},
		"migrate goto":    {object[migratedView](""), object[planView]("with --dry-run")},
		"migrate force":   {object[migratedView](""), object[planView]("with --dry-run")},
		"migrate status":  {object[statusView]("")},
		"migrate version": {object[statusView]("")},
		"migrate list":    {migrationList.output("")},
		"migrate create":  {object[createdView]("")},

		"backup":   {object[transferView](""), object[backupCheckView]("with --check")},
		"restore":  {object[transferView]("")},
		"transfer": {object[transferView]("")},
		"version":  {object[versionView]("")},
	}
}

// withoutJSON says what commands print that have no JSON object.
var withoutJSON = map[string]string{
	"completion": "a script for a shell",
	"dump":       "one JSON object per line for each row of the repository, as the tables have it",
}
