package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"slices"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/formats/car"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/progress"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const shardCatHelp = `Cat writes the bytes of a shard: the CAR of version 1 as it is stored or, with
--car-version 2, a CAR of version 2 that contains these bytes and an index of
the blocks, sorted by multihash. If no store keeps the bytes, they are made
again from the source.

The bytes are compared with the shard's CID while they are written. If they
differ, FILE is written from another store of the repository that has the shard.
If no store has good bytes, the command fails, and does not create FILE. What
went to standard output can't be taken back: if those bytes are damaged, the
command fails.`

func (a *app) shardCatCommand() *cobra.Command {
	out, version := output{}, 1
	command := &cobra.Command{
		Use: "cat CID", Short: "Write the bytes of a shard", Long: shardCatHelp, Args: usageArgs(cobra.ExactArgs(1)),
	}

	command.RunE = func(cmd *cobra.Command, args []string) error {
		if version != 1 && version != 2 {
			return fmt.Errorf("%w: there is no CAR version %d: use 1 or 2", errUsage, version)
		}

		digest, err := parseBlob(args[0])
		if err != nil {
			return err
		}

		if err := a.refuseTerminal(out, "a CAR"); err != nil {
			return err
		}

		return a.readingCommand(func(ctx context.Context, cfg *config.Config, repo *repository, _ []string) error {
			return a.catShard(ctx, cfg, repo, digest, version, out)
		})(cmd, args)
	}

	flags := command.Flags()
	flags.SortFlags = false
	flags.IntVar(&version, "car-version", 1, "write a CAR of version `1|2`")
	out.addFlags(flags, "write to `FILE` (default: standard output)")
	addShardFlags(flags)

	return command
}

// catShard writes a shard from the first store that has its bytes.
func (a *app) catShard(ctx context.Context, cfg *config.Config, repo *repository, digest sqlrepo.Digest, version int,
	out output) (err error) {
	if err := out.refuseOwn(cfg, repo); err != nil {
		return err
	}

	rows, err := repo.ShardsByDigest(ctx, digest)
	if err != nil {
		return err
	}

	if len(rows) == 0 {
		return fmt.Errorf("shard %s: %w", shard.Name(digest), sqlrepo.ErrNotFound)
	}

	shards, err := a.openShards(ctx, cfg, repo)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shards.Close()) }()

	task := progress.NewTask("reading", "")
	show := a.showProgress
	if out.isStdout() {
		show = a.showBeside
	}
	defer show(ctx, task.State)()

	var failed error
	for file, err := range shards.files(ctx, rows) {
		again := true
		if err == nil {
			task.Begin("reading "+file.where, "")
			task.Expect(0, file.row.Size)
			again, err = a.catFile(ctx, repo, file, version, out, task)
		}
		if err == nil {
			return nil
		}

		if !again || ctx.Err() != nil || isAny(err, databaseErrors) {
			return err
		}
		failed = errors.Join(failed, err)
	}
	return errors.Join(failed, shards.Away(ctx, rows[0]))
}

// shardFile is a file that should have the bytes of a shard.
type shardFile struct {
	row     sqlrepo.Shard
	where   string
	reading store.Reading
}

// files yields the files that may have the bytes of a shard, or why one can't be opened: first those of its own stores,
// then those of other stores, and in the end what is made again.
func (s *shardBytes) files(ctx context.Context, rows []sqlrepo.Shard) iter.Seq2[shardFile, error] {
	return func(yield func(shardFile, error) bool) {
		isMade := func(row sqlrepo.Shard) bool { return row.Store == store.NoneIdentity }
		kept := slices.DeleteFunc(slices.Clone(rows), isMade)
		for _, row := range kept {
			reading, err := s.openOwn(ctx, row)
			where := row.Store
			if known, failed := s.stores.Row(ctx, row.Store); failed == nil {
				where = known.Name
			}
			if !yield(shardFile{row, "store " + where, reading}, err) {
				return
			}
		}

		if len(kept) > 0 {
			for name, reading := range s.copies(ctx, kept[0]) {
				if !yield(shardFile{kept[0], "store " + name, reading}, nil) {
					return
				}
			}
		}

		for _, row := range rows {
			if !isMade(row) {
				continue
			}
			reading, err := s.remade.OpenShard(ctx, row)
			if !yield(shardFile{row, "the source", reading}, err) {
				return
			}
		}
	}
}

// catFile writes a shard from one file, and closes it. The bytes are compared on their way out: if they are damaged, an
// output that is a file does not get its name. again reports whether another file may be written in its place.
func (a *app) catFile(ctx context.Context, repo *repository, file shardFile, version int,
	out output, task *progress.Task) (again bool, err error) {
	defer func() {
		if err = errors.Join(err, file.reading.Close()); err != nil {
			err = fmt.Errorf("shard %s in %s: %w", shard.Name([32]byte(file.row.Digest)), file.where, err)
		}
	}()

	// A file that is cut short is known before anything is written.
	n, err := file.reading.ReadAt(ctx, make([]byte, 1), file.row.Size-1)
	if n == 0 {
		if err == nil || errors.Is(err, io.EOF) {
			err = fmt.Errorf("it has less than %d bytes: %w", file.row.Size, errDamaged)
		}
		return true, err
	}

	content := &hashedReader{from: inOrder(ctx, file.reading, file.row.Size), hash: sha256.New(), task: task}
	err = a.writeBlob(out, car.ShardCID([32]byte(file.row.Digest)).String(), func(to io.Writer) (err error) {
		if version == 2 {
			err = shard.WriteV2(to, file.row.Size, content, repo.Nodes(ctx, file.row.ID))
		} else {
			_, err = io.Copy(to, content)
		}

		if err == nil && !bytes.Equal(content.hash.Sum(nil), file.row.Digest) {
			content.failed, err = true, errDamaged
		}
		return err
	})

	// The error may also be one of the output.
	if content.failed && !out.isReplaced() {
		err = fmt.Errorf("%w. With -o FILE, the bytes of another store can replace these", err)
	}
	return content.failed && out.isReplaced(), err
}

// hashedReader hashes and counts what is read, and remembers whether reading has failed.
type hashedReader struct {
	from   io.Reader
	hash   hash.Hash
	failed bool
	task   *progress.Task
}

func (r *hashedReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.hash.Write(p[:n])
	r.task.Add(0, int64(n))
	r.failed = r.failed || err != nil && !errors.Is(err, io.EOF)
	return n, err
}

// errDamaged is returned for bytes that do not match their CID.
var errDamaged = errors.New("its bytes are damaged: run guppy check --read-data")

// readAtOnce is the size of a read of content that is read to its end. In a bucket each read is a request.
const readAtOnce = 4 << 20

// inOrder returns a reader of a whole shard of the given length.
func inOrder(ctx context.Context, reading store.Reading, size int64) io.Reader {
	return bufio.NewReaderSize(io.NewSectionReader(readerAt{ctx, reading}, 0, size), readAtOnce)
}

// readerAt is an io.ReaderAt that reads as long as its context lasts.
type readerAt struct {
	ctx context.Context //nolint:containedctx // a reader takes none
	store.Reading
}

func (r readerAt) ReadAt(p []byte, off int64) (int, error) { return r.Reading.ReadAt(r.ctx, p, off) }
