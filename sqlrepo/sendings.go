package sqlrepo

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
	"github.com/guppy-prep/guppy/sqlrepo/internal/schema"
)

// NoneStore is the identity of the store that keeps no bytes.
const NoneStore = schema.NoneStore

// ErrNotNeeded is returned for a file that no upload of the space has any longer.
var ErrNotNeeded = errors.New("no upload needs the file any longer")

// SpaceReplica makes a store a replica of a space: workers send the files of the space's uploads there.
type SpaceReplica struct {
	Space int64  `db:"space"`
	Store string `db:"store"`
}

// BlobKind says what a file of a store is. The values are stored.
type BlobKind int16

// The kinds of files.
const (
	ShardBlob BlobKind = 1
	IndexBlob BlobKind = 2
)

// Sending is a file on its way to a replica of a space.
type Sending struct {
	ID int64 `db:"id"`
	SpaceReplica
	// Origin is the identity of the store that has the file.
	Origin string   `db:"origin"`
	Kind   BlobKind `db:"kind"`
	Digest []byte   `db:"digest"`
	Size   int64    `db:"size"`
	Lease
	// Now is the time by the database's clock, in lists.
	Now Time `db:"now"`
}

func (s Sending) unit() (string, int64, int64) { return "sendings", s.ID, s.Token }

// AddSpaceReplica makes a store a replica of a space. It returns ErrMissingReference if one of them is unknown.
func (r *Repository) AddSpaceReplica(ctx context.Context, replica SpaceReplica) error {
	row := sq.Insert("space_replicas").Columns(schema.SpaceReplicaColumns...).Values(replica.Space, replica.Store).
		Suffix("ON CONFLICT (space, store) DO NOTHING")
	return r.addReplica(ctx, "add a replica to the space", replica.Store, row)
}

// RemoveSpaceReplica ends what AddSpaceReplica began. The copies stay. It returns ErrNotFound if the store is no
// replica of the space.
func (r *Repository) RemoveSpaceReplica(ctx context.Context, replica SpaceReplica) error {
	return r.db.Transact(ctx, "take a replica from the space", func(tx *core.Tx) error {
		if err := tx.Later(ctx, sq.Delete("sendings").Where(replica.rows()), nil); err != nil {
			return err
		}
		return tx.Later(ctx, sq.Delete("space_replicas").Where(replica.rows()),
			func(rows int64) error { return core.Affected(rows, ErrNotFound) })
	})
}

// rows matches the rows of a replica of a space.
func (p SpaceReplica) rows() sq.Sqlizer { return sq.Eq{"space": p.Space, "store": p.Store} }

// SpaceReplicas lists the replicas of some spaces, or of all if spaces is nil, by space and by the names of the stores.
func (r *Repository) SpaceReplicas(ctx context.Context, spaces []int64) (replicas []SpaceReplica, err error) {
	query := sq.Select(schema.SpaceReplicaColumns...).From("space_replicas").
		Join("stores ON stores.identity = space_replicas.store").OrderBy("space", "stores.name")
	if spaces != nil {
		query = query.Where(r.db.Among("space", spaces))
	}
	err = r.db.ReadAll(ctx, "list replicas of spaces", &replicas, query)
	return replicas, err
}

// ClaimSending claims a file that a replica of a space lacks. It leaves out files that only stores have that are away,
// by their identities. Without a file to claim, it returns ErrNothingToClaim, and whether files are on their way, or
// will be tried again.
func (r *Repository) ClaimSending(ctx context.Context, claim Claim, to SpaceReplica,
	away []string) (sending Sending, more bool, err error) {
	sending, err = r.claimSending(ctx, claim, to, away)
	if !errors.Is(err, ErrNothingToClaim) {
		return sending, true, err
	}

	more, err = r.planSendings(ctx, to, away)
	if err != nil {
		return sending, false, err
	}
	sending, err = r.claimSending(ctx, claim, to, away)
	return sending, more || err == nil, err
}

func (r *Repository) claimSending(ctx context.Context, claim Claim, to SpaceReplica,
	away []string) (sending Sending, err error) {
	first := sq.Select("id").From("sendings").Where(to.rows()).Where(r.claimable()).
		Where(sq.NotEq{"origin": away}).OrderBy("kind", "id").Limit(1).Suffix(r.db.ClaimLock)
	err = r.claim(ctx, "claim a file to send", "sendings", schema.SendingFields, claim,
		sq.ConcatExpr("id = (", first, ")"), &sending)
	return sending, err
}

// sendingsAtOnce is the number of files that are planned at once.
const sendingsAtOnce = 64

// planSendings adds sendings for files that a replica lacks, and removes those that came to nothing. It reports
// whether any are left that were not set aside and can be had from a store that is not away.
func (r *Repository) planSendings(ctx context.Context, to SpaceReplica, away []string) (left bool, err error) {
	// Most often there is nothing to do, which can be seen without a transaction that writes.
	var planned bool
	all := sq.Select("1").From("sendings").Where(to.rows())
	err = r.db.ReadOne(ctx, "look for what to send", &planned, sq.Select().Column(sq.ConcatExpr("EXISTS (", all, ")")))
	if err != nil {
		return false, err
	}
	lacking, err := r.unplanned(ctx, to, away)
	if err != nil || !planned && len(lacking) == 0 {
		return false, err
	}

	err = r.db.Transact(ctx, "plan what to send", func(tx *core.Tx) error {
		if _, err := tx.Exec(ctx, obsoleteSendings(to)); err != nil {
			return err
		}
		if err := redirectSendings(ctx, tx, to, away); err != nil {
			return err
		}
		if err := insertSendings(ctx, tx, to, lacking); err != nil {
			return err
		}
		open := sq.Select("1").From("sendings").Where(to.rows()).Where(sq.Eq{"set_aside_at": nil}).
			Where(sq.NotEq{"origin": away})
		return tx.Get(ctx, &left, sq.Select().Column(sq.ConcatExpr("EXISTS (", open, ")")))
	})
	return left, err
}

// redirectSendings lets files come from any store that has a copy if their own store is away.
func redirectSendings(ctx context.Context, tx *core.Tx, to SpaceReplica, away []string) error {
	if len(away) == 0 {
		return nil
	}
	other := anotherCopy("sendings", to, away)
	_, err := tx.Exec(ctx, sq.Update("sendings").Set("origin", sq.ConcatExpr("(", other, ")")).Where(to.rows()).
		Where(sq.Eq{"token": 0, "origin": away}).Where(sq.ConcatExpr("(", other, ") IS NOT NULL")))
	return err
}

// anotherCopy selects a store that has a copy of a table's file, neither away nor the replica itself.
func anotherCopy(table string, to SpaceReplica, away []string) sq.SelectBuilder {
	return sq.Select("MIN(copies.store)").From("copies").Where("copies.digest = " + table + ".digest").
		Where(sq.NotEq{"copies.store": append([]string{to.Store}, away...)})
}

// obsoleteSendings deletes the sendings to a replica of files that are there, or that no upload needs any longer.
func obsoleteSendings(to SpaceReplica) sq.Sqlizer {
	return needlessSendings(sq.Eq{"sendings.space": to.Space, "sendings.store": to.Store})
}

// needlessSendings deletes those of some sendings whose files are in the replica, or are not to be there any longer,
// unless somebody is at work on them.
func needlessSendings(among sq.Sqlizer) sq.Sqlizer {
	free := sq.And{sq.Eq{"sendings.token": 0}, among}
	needless := sq.Select("id").From("sendings").Where(free)
	for _, table := range []blobTable{shardFiles, indexFiles} {
		copied := sq.Select("1").From("copies").Where("copies.store = sendings.store AND copies.digest = sendings.digest")
		open := sq.Select("sendings.id").From("sendings").
			Join("space_replicas ON space_replicas.space = sendings.space AND space_replicas.store = sendings.store").
			Join("sources ON sources.space = sendings.space").
			Join("uploads ON uploads.source = sources.id AND uploads.store <> sendings.store").
			Join(table.name + " ON " + table.name + ".upload = uploads.id AND " + table.name + ".digest = sendings.digest").
			Where(free).Where(sq.NotEq{"uploads.store": NoneStore}).Where(sq.Eq{table.name + ".state": table.state}).
			Where(sq.ConcatExpr("NOT EXISTS (", copied, ")"))
		needless = needless.SuffixExpr(sq.ConcatExpr("EXCEPT ", open))
	}
	return sq.Delete("sendings").Where(free).Where(sq.ConcatExpr("id IN (", needless, ")"))
}

// unplanned is a file that a replica lacks and that is not on its way.
type unplanned struct {
	Blob
	Origin string `db:"origin"`
	kind   BlobKind
}

// unplanned lists some of the files that a replica lacks and that are not on their way. It leaves out files that only
// stores have that are away.
func (r *Repository) unplanned(ctx context.Context, to SpaceReplica, away []string) (lacking []unplanned, err error) {
	still := sq.Select("1").From("space_replicas").Where(to.rows())
	for _, table := range []blobTable{shardFiles, indexFiles} {
		planned := sq.Select("1").From("sendings").Where(to.rows()).Where("sendings.digest = " + table.name + ".digest")
		query := uncopied(filesOfSpace(table, to.Space, to.Store), table, to.Store).
			Where(sq.ConcatExpr("NOT EXISTS (", planned, ")")).Where(sq.ConcatExpr("EXISTS (", still, ")")).
			OrderBy(table.name + ".id").Limit(sendingsAtOnce)

		if len(away) == 0 {
			query = query.Column("uploads.store AS origin")
		} else {
			other := sq.ConcatExpr("(", anotherCopy(table.name, to, away), ")")
			origin := sq.ConcatExpr("CASE WHEN ", sq.NotEq{"uploads.store": away}, " THEN uploads.store ELSE ", other, " END")
			query = query.Column(sq.Alias(origin, "origin")).
				Where(sq.Or{sq.NotEq{"uploads.store": away}, sq.ConcatExpr(other, " IS NOT NULL")})
		}

		var some []unplanned
		if err := r.db.ReadAll(ctx, "look for what a replica lacks", &some, query); err != nil {
			return nil, err
		}
		for _, file := range some {
			file.kind = table.kind
			lacking = append(lacking, file)
		}
	}
	return lacking, nil
}

// insertSendings plans files. Several uploads may have the same file, and another worker may plan at the same time.
func insertSendings(ctx context.Context, tx *core.Tx, to SpaceReplica, lacking []unplanned) error {
	if len(lacking) == 0 {
		return nil
	}
	add := sq.Insert("sendings").Columns(schema.SendingColumns...).Columns("progress", "attempts").
		Suffix("ON CONFLICT (space, store, digest) DO NOTHING")
	for _, file := range lacking {
		id := 1 + rand.Int64N(math.MaxInt64) //nolint:gosec // it only has to be unique
		add = add.Values(id, to.Space, to.Store, file.Origin, file.kind, file.Digest, file.Size, 0, 0, 0)
	}
	_, err := tx.Exec(ctx, add)
	return err
}

// filesOfSpace selects the files of a space's uploads that are in other stores than a replica.
func filesOfSpace(table blobTable, space int64, replica string) sq.SelectBuilder {
	return filesOf(table, sq.And{schema.InSpace(space), sq.NotEq{"uploads.store": []string{replica, NoneStore}}})
}

// Sent records that a file is in the replica. It returns ErrLeaseLost if another worker has the sending, and
// ErrNotNeeded if no upload has the file any longer: then nothing is recorded, and the file should be removed. It waits
// for removals that are being recorded, as StillNamed does for seals: a removal that is recorded later finds the copy.
func (r *Repository) Sent(ctx context.Context, sending Sending) error {
	needed := false
	err := r.db.Transact(ctx, "record a file that was sent", func(tx *core.Tx) error {
		if err := lockSpaces(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.Exec(ctx, sq.Delete("sendings").Where(held(sending)))
		if err != nil {
			return err
		}
		if err := leaseLost(rows, "sendings", sending.ID); err != nil {
			return err
		}

		named, err := namedAmong(ctx, tx, sending.Store, []Digest{Digest(sending.Digest)})
		if needed = named[Digest(sending.Digest)].Here; err != nil || !needed {
			return err
		}
		add := sq.Insert("copies").Columns("store", "digest").Values(sending.Store, sending.Digest).
			Suffix("ON CONFLICT (store, digest) DO NOTHING")
		return copying(sending.Store, [][]byte{sending.Digest}).Around(ctx, tx,
			func() error { return tx.Later(ctx, add, nil) })
	})
	if err == nil && !needed {
		err = ErrNotNeeded
	}
	return err
}

// Postpone gives back a file that can't be sent now, with the reason. It does not count as a failure of the file.
func (r *Repository) Postpone(ctx context.Context, sending Sending, reason string) error {
	return r.change(ctx, "postpone a file", schema.Free(sq.Update("sendings")).Set("error", kept(reason)).
		Where(held(sending)))
}

// StoresWith lists the stores that should have a file: those of uploads and those with a copy.
func (r *Repository) StoresWith(ctx context.Context, digest Digest) (stores []string, err error) {
	holders := sq.Select("store").From("copies").Where(sq.Eq{"digest": digest[:]})
	for _, table := range []blobTable{shardFiles, indexFiles} {
		own := sq.Select("uploads.store").From(table.name).Join("uploads ON uploads.id = " + table.name + ".upload").
			Where(sq.Eq{table.name + ".digest": digest[:], table.name + ".state": table.state}).
			Where(sq.NotEq{"uploads.store": NoneStore})
		holders = holders.SuffixExpr(sq.ConcatExpr("UNION ", own))
	}
	err = r.db.ReadAll(ctx, "look which stores have a file", &stores, holders.Suffix("ORDER BY 1"))
	return stores, err
}

// Sendings lists the sendings of some spaces, or of all if spaces is nil, that are claimed, have failed, were postponed
// or set aside, and are still lacking.
func (r *Repository) Sendings(ctx context.Context, spaces []int64) (sendings []Sending, err error) {
	copied := sq.Select("1").From("copies").Where("copies.store = sendings.store AND copies.digest = sendings.digest")
	query := sq.Select(schema.SendingFields...).Column(sq.Alias(r.db.At(0), "now")).From("sendings").
		Where(sq.Or{sq.NotEq{"token": 0}, sq.NotEq{"error": nil}, sq.NotEq{"set_aside_at": nil}}).
		Where(sq.ConcatExpr("NOT EXISTS (", copied, ")")).OrderBy("space", "store", "kind", "id")
	if spaces != nil {
		query = query.Where(r.db.Among("space", spaces))
	}
	err = r.db.ReadAll(ctx, "list what is being sent", &sendings, query)
	return sendings, err
}

// ResumeSendings makes the sendings of a space that failed or were set aside claimable at once.
func (r *Repository) ResumeSendings(ctx context.Context, space int64) error {
	return r.db.Transact(ctx, "resume what was set aside", func(tx *core.Tx) error {
		return tx.Later(ctx, schema.Settled(sq.Update("sendings")).Set("set_aside_at", nil).
			Where(sq.Eq{"space": space, "token": 0}), nil)
	})
}
