package sqlrepo

import (
	"context"
	"fmt"
	"iter"
	"slices"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// Replica is a store that is to have all shards and indexes of another store, or of a space's uploads.
type Replica struct {
	// Store and Origin are the identities of the replica and of the store that it is a replica of. Origin is "" for a
	// replica of a space.
	Store  string `db:"store"`
	Origin string `db:"origin"`
	// Space is the key of the space that it is a replica of, or 0.
	Space int64 `db:"space"`
	// SyncedAt is when the replica last had everything.
	SyncedAt Time `db:"synced_at"`
	// Files and Bytes count what the replica lacks. A file of several uploads counts once.
	Files int64 `db:"missing_files"`
	Bytes int64 `db:"missing_bytes"`
	// DueFiles and DueBytes count those of complete uploads, which Lacks yields.
	DueFiles int64 `db:"due_files"`
	DueBytes int64 `db:"due_bytes"`
}

// Blob is a file of a store: a shard or an index.
type Blob struct {
	ID     int64  `db:"id"`
	Digest []byte `db:"digest"`
	Size   int64  `db:"size"`
}

// SetReplica makes a store a replica of another one. A store may be a replica of several. SetReplica returns
// ErrMissingReference if one of them is unknown.
func (r *Repository) SetReplica(ctx context.Context, store, origin string) error {
	row := sq.Insert("replicas").Columns("store", "origin").Values(store, origin).
		Suffix("ON CONFLICT (store, origin) DO NOTHING")
	return r.addReplica(ctx, "set a replica", store, row)
}

// addReplica adds a replica, unless it is there already, and counts what it lacks.
func (r *Repository) addReplica(ctx context.Context, doing, store string, row sq.InsertBuilder) error {
	return r.db.Transact(ctx, doing, func(tx *core.Tx) error {
		// Others that change what it lacks do not see its row yet.
		if err := lockSpaces(ctx, tx); err != nil {
			return err
		}
		added, err := tx.Exec(ctx, row)
		if err != nil || added == 0 {
			return err
		}
		return LackChange{replicas: inReplica(store)}.recount(ctx, tx)
	})
}

// EndReplica ends what SetReplica began. The copies stay. It returns ErrNotFound if the store is no replica of the
// other one.
func (r *Repository) EndReplica(ctx context.Context, store, origin string) error {
	return r.db.Transact(ctx, "end a replica", func(tx *core.Tx) error {
		return tx.Later(ctx, sq.Delete("replicas").Where(sq.Eq{"store": store, "origin": origin}),
			func(rows int64) error { return core.Affected(rows, ErrNotFound) })
	})
}

// Synced notes that a replica has everything of its origin now.
func (r *Repository) Synced(ctx context.Context, store, origin string) error {
	return r.changeStore(ctx, "note that a replica has everything",
		sq.Update("replicas").Set("synced_at", NewTime(r.db.Now())).Where(sq.Eq{"store": store, "origin": origin}))
}

// Replicas lists the replicas of stores and of spaces, by identity, with what they lack: that is counted in their rows,
// so it costs one query. The counts are exact unless a repair was interrupted; see LackChange.
func (r *Repository) Replicas(ctx context.Context) (replicas []Replica, err error) {
	ofStores := replicaFields(storeReplicas, "store", "origin", "0 AS space", "synced_at")
	ofSpaces := replicaFields(spaceReplicas, "store", "'' AS origin", "space", "NULL AS synced_at")
	err = r.db.ReadAll(ctx, "list replicas", &replicas,
		ofStores.SuffixExpr(sq.ConcatExpr("UNION ALL ", ofSpaces, " ORDER BY store, origin, space")))
	return replicas, err
}

func replicaFields(t replicaTable, key ...string) sq.SelectBuilder {
	return sq.Select(key...).Columns(schema.LackColumns...).From(t.name)
}

// Lacking counts what a replica of a space lacks, in the rows of all files.
func (r *Repository) Lacking(ctx context.Context, of SpaceReplica) (Replica, error) {
	replica := Replica{Store: of.Store, Space: of.Space}
	err := r.countLacking(ctx, &replica)
	return replica, err
}

// LackingIn counts what a replica of a store lacks, in the rows of all files.
func (r *Repository) LackingIn(ctx context.Context, origin, replica string) (Replica, error) {
	lacks := Replica{Store: replica, Origin: origin}
	err := r.countLacking(ctx, &lacks)
	return lacks, err
}

func (r *Repository) countLacking(ctx context.Context, replica *Replica) error {
	for _, table := range []blobTable{shardFiles, indexFiles} {
		var lacks Replica
		// Shards and indexes of several uploads may be the same file, which is sent once.
		due := sq.Expr("MAX(CASE WHEN uploads.state = ? THEN 1 ELSE 0 END) AS due", Complete)
		files := replica.lacks(table).RemoveColumns().Columns(table.name+".digest", table.name+".size").Column(due).
			GroupBy(table.name+".digest", table.name+".size")
		count := sq.Select("COUNT(*) AS missing_files", "CAST(COALESCE(SUM(size), 0) AS BIGINT) AS missing_bytes",
			"CAST(COALESCE(SUM(due), 0) AS BIGINT) AS due_files",
			"CAST(COALESCE(SUM(size * due), 0) AS BIGINT) AS due_bytes").FromSelect(files, "files")
		if err := r.db.ReadOne(ctx, "count what a replica lacks", &lacks, count); err != nil {
			return err
		}
		replica.Files += lacks.Files
		replica.Bytes += lacks.Bytes
		replica.DueFiles += lacks.DueFiles
		replica.DueBytes += lacks.DueBytes
	}
	return nil
}

// lacks selects the rows of a table whose files a replica lacks.
func (p Replica) lacks(table blobTable) sq.SelectBuilder {
	files := filesInStore(table, p.Origin)
	if p.Space != 0 {
		files = filesOfSpace(table, p.Space, p.Store)
	}
	return uncopied(files, table, p.Store)
}

// Lack is a file of an upload that a replica lacks.
type Lack struct {
	Blob
	Upload int64    `db:"upload"`
	Kind   BlobKind `db:"-"`
}

// Lacks yields the files of complete uploads that a replica lacks, once for each upload that has them.
func (r *Repository) Lacks(ctx context.Context, replica Replica) iter.Seq2[Lack, error] {
	return func(yield func(Lack, error) bool) {
		for _, table := range []blobTable{shardFiles, indexFiles} {
			key := table.name + ".id"
			query := replica.lacks(table).Column("uploads.id AS upload").Where(sq.Eq{"uploads.state": Complete}).OrderBy(key)
			behind := func(last Lack) sq.Sqlizer { return sq.Gt{key: last.ID} }
			for lack, err := range core.Rows(ctx, r.db, "look for what a replica lacks", query, behind) {
				lack.Kind = table.kind
				if !yield(lack, err) || err != nil {
					return
				}
			}
		}
	}
}

// ReplicasOf lists the identities of the replicas of a store and of the spaces that have uploads there, or of all
// replicas if origin is "".
func (r *Repository) ReplicasOf(ctx context.Context, origin string) (replicas []string, err error) {
	ofStore, ofSpaces := sq.Select("store").From("replicas"), sq.Select("store").From("space_replicas")
	if origin != "" {
		there := sq.Select("space").From("sources").Join("uploads ON uploads.source = sources.id").
			Where(sq.Eq{"uploads.store": origin})
		ofStore, ofSpaces = ofStore.Where(sq.Eq{"origin": origin}),
			ofSpaces.Where(core.Within("space", there)).Where(sq.NotEq{"store": origin})
	}
	err = r.db.ReadAll(ctx, "look for replicas", &replicas,
		ofStore.SuffixExpr(sq.ConcatExpr("UNION ", ofSpaces, " ORDER BY store")))
	return replicas, err
}

// blobTable is a table whose rows have files when they are in a state.
type blobTable struct {
	name  string
	state int64
	kind  BlobKind
}

var (
	shardFiles = blobTable{"shards", int64(ShardPacked), ShardBlob}
	indexFiles = blobTable{"indexes", int64(IndexStored), IndexBlob}
)

// filesOf selects the rows of a table that have files, of the uploads that match a condition.
func filesOf(table blobTable, uploads sq.Sqlizer) sq.SelectBuilder {
	return sq.Select(table.name+".id", table.name+".digest", table.name+".size").From(table.name).
		Join("uploads ON uploads.id = " + table.name + ".upload").
		Where(sq.Eq{table.name + ".state": table.state}).Where(uploads)
}

func filesInStore(table blobTable, store string) sq.SelectBuilder {
	return filesOf(table, sq.Eq{"uploads.store": store})
}

// uncopied narrows a selection of rows to those whose files are not in a replica.
func uncopied(files sq.SelectBuilder, table blobTable, replica string) sq.SelectBuilder {
	copied := sq.Select("1").From("copies").Where("copies.digest = " + table.name + ".digest").
		Where(sq.Eq{"copies.store": replica})
	return files.Where(sq.ConcatExpr("NOT EXISTS (", copied, ")"))
}

// UncopiedShards yields the shards of the uploads in a store that a replica of it lacks, by key.
func (r *Repository) UncopiedShards(ctx context.Context, origin, replica string) iter.Seq2[Blob, error] {
	return r.uncopied(ctx, shardFiles, origin, replica)
}

// UncopiedIndexes is like UncopiedShards for indexes.
func (r *Repository) UncopiedIndexes(ctx context.Context, origin, replica string) iter.Seq2[Blob, error] {
	return r.uncopied(ctx, indexFiles, origin, replica)
}

func (r *Repository) uncopied(ctx context.Context, table blobTable, origin, replica string) iter.Seq2[Blob, error] {
	key := table.name + ".id"
	query := uncopied(filesInStore(table, origin), table, replica).OrderBy(key)
	behind := func(last Blob) sq.Sqlizer { return sq.Gt{key: last.ID} }
	return core.Rows(ctx, r.db, "look for what a replica lacks", query, behind)
}

// AddCopies records that a store has copies that were proved. It is not an error if it is known already. AddCopies
// returns the digests of the files that the store is not to have, or no longer: these are not recorded, and the files
// should be removed. If a removal has taken such a file before it was needed again, its copy is recorded: the caller
// makes sure afterwards that the files are there (store.Store.Confirm), and calls ForgetCopies if not.
func (r *Repository) AddCopies(ctx context.Context, store string, digests []Digest) (unneeded []Digest, err error) {
	err = r.db.Transact(ctx, fmt.Sprintf("record %d copies", len(digests)), func(tx *core.Tx) error {
		// A removal forgets the copies of what it has condemned. It must not do so before they are recorded.
		if err := lockSpaces(ctx, tx); err != nil {
			return err
		}

		unneeded = nil
		for some := range slices.Chunk(digests, copiesAtOnce) {
			named, err := namedAmong(ctx, tx, store, some)
			if err != nil {
				return err
			}
			needless, err := addCopies(ctx, tx, store, some, named)
			if err != nil {
				return err
			}
			unneeded = append(unneeded, needless...)
		}
		return nil
	})
	return unneeded, err
}

// addCopies records the copies that the store is to have, and returns the others.
func addCopies(ctx context.Context, tx *core.Tx, store string, digests []Digest,
	named map[Digest]Need) (unneeded []Digest, err error) {
	add := sq.Insert("copies").Columns("store", "digest").Suffix("ON CONFLICT (store, digest) DO NOTHING")
	var needed [][]byte
	for _, digest := range digests {
		if named[digest].Here {
			add = add.Values(store, digest[:])
			needed = append(needed, digest[:])
		} else {
			unneeded = append(unneeded, digest)
		}
	}

	if len(needed) > 0 {
		err = copying(store, needed).Around(ctx, tx, func() error { return tx.Later(ctx, add, nil) })
	}
	return unneeded, err
}

// copiesAtOnce is the number of copies in one statement.
const copiesAtOnce = 500

// ForgetCopies forgets copies that a store has. What is there is proved again by the next sync.
func (r *Repository) ForgetCopies(ctx context.Context, store string, digests []Digest) error {
	return r.db.Transact(ctx, "forget copies", func(tx *core.Tx) error {
		// Nobody sets a replica, and counts the copies, meanwhile.
		if err := lockSpaces(ctx, tx); err != nil {
			return err
		}
		for some := range slices.Chunk(digests, copiesAtOnce) {
			var keys [][]byte
			for _, digest := range some {
				keys = append(keys, digest[:])
			}
			forget := sq.Delete("copies").Where(sq.Eq{"store": store, "digest": keys})
			err := copying(store, keys).Around(ctx, tx, func() error { return tx.Later(ctx, forget, nil) })
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Copies yields the digests of the copies that a store has, in their order.
func (r *Repository) Copies(ctx context.Context, store string) iter.Seq2[Digest, error] {
	query := sq.Select("digest").From("copies").Where(sq.Eq{"store": store}).OrderBy("digest")
	behind := func(last []byte) sq.Sqlizer { return sq.Gt{"digest": last} }
	return func(yield func(Digest, error) bool) {
		for raw, err := range core.Rows(ctx, r.db, "read copies", query, behind) {
			var digest Digest
			if err == nil && len(raw) != len(digest) {
				err = fmt.Errorf("a copy has a digest of %d bytes", len(raw))
			}
			copy(digest[:], raw)
			if !yield(digest, err) || err != nil {
				return
			}
		}
	}
}

// HasCopy reports whether a store is recorded to have a copy.
func (r *Repository) HasCopy(ctx context.Context, store string, digest Digest) (bool, error) {
	var found []string
	err := r.db.ReadAll(ctx, "look for a copy", &found,
		sq.Select("store").From("copies").Where(sq.Eq{"store": store, "digest": digest[:]}))
	return len(found) > 0, err
}

// StoreCopies counts what a store has as a replica.
type StoreCopies struct {
	Identity string `db:"store"`
	// Files counts the recorded copies, and Bytes their sizes.
	Files int64 `db:"files"`
	Bytes int64 `db:"bytes"`
}

// CountCopies counts the copies in each store. It leaves out stores that have none.
func (r *Repository) CountCopies(ctx context.Context) (counts []StoreCopies, err error) {
	// Shards and indexes of several uploads may be the same file, which was copied once.
	named := sq.Expr("SELECT digest, size FROM shards UNION SELECT digest, size FROM indexes")
	sizes := sq.ConcatExpr("LEFT JOIN (SELECT digest, MAX(size) AS size FROM (", named,
		") AS named GROUP BY digest) AS sizes ON sizes.digest = copies.digest")

	count := sq.Select("store", "COUNT(*) AS files", "CAST(COALESCE(SUM(size), 0) AS BIGINT) AS bytes").
		From("copies").JoinClause(sizes).GroupBy("store").OrderBy("store")
	err = r.db.ReadAll(ctx, "count copies", &counts, count)
	return counts, err
}

// PruneCopies forgets the copies of files that their stores need not have any longer, and what was to be sent of such
// files. Where no upload was ever stored, the copies stay: they alone tell which files there are this repository's.
func (r *Repository) PruneCopies(ctx context.Context) error {
	used := sq.Select("identity").From("stores").Where(sq.NotEq{"seen_at": nil})
	needless := sq.Select("store", "digest").From("copies").Where(core.Within("store", used))
	for _, table := range []string{"shards", "indexes"} {
		kept := schema.WithKeepers(sq.Select("keepers.store", "digest").From(table), table)
		needless = needless.SuffixExpr(sq.ConcatExpr("EXCEPT ", kept))
	}

	// With NOT IN, whose operands may be NULL, SQLite would compare each copy with all files.
	return r.db.Transact(ctx, "forget copies of removed files", func(tx *core.Tx) error {
		if _, err := tx.Exec(ctx, needlessSendings(sq.And{})); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, sq.Delete("copies").Where(sq.ConcatExpr("(store, digest) IN (", needless, ")")))
		return err
	})
}
