package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/preparing/shard"
	"github.com/guppy-prep/guppy/internal/store"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const shardCatHelp = `Cat writes the bytes of a shard: the CAR of version 1 as it is stored or, with
--car-version 2, a CAR of version 2 that contains these bytes and an index of
the blocks, sorted by multihash. If no store keeps the bytes, they are made
again from the source.

The bytes are compared with the shard's CID while they are written. If they
differ, the command fails, and does not create FILE.`

func (a *app) shardCatCommand() *cobra.Command {
	out, version := "", 1
	command := &cobra.Command{
		Use: "cat CID", Short: "Write the bytes of a shard", Long: shardCatHelp, Args: usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: cobra.NoFileCompletions,
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

		return a.repositoryCommand(func(ctx context.Context, cfg *config.Config, repo *repository, _ []string) error {
			return a.writeTo(out, func(w io.Writer) error { return a.catShard(ctx, cfg, repo, digest, version, w) })
		})(cmd, args)
	}

	flags := command.Flags()
	flags.SortFlags = false
	flags.IntVar(&version, "car-version", 1, "write a CAR of version `1|2`")
	addOutputFlags(command, &out)

	return command
}

func addOutputFlags(command *cobra.Command, out *string) {
	command.Flags().StringVarP(out, "output", "o", "", "write to `FILE` (default: standard output)")
	addShardFlags(command.Flags())
}

// refuseTerminal returns an error if the output would go to a terminal.
func (a *app) refuseTerminal(out, what string) error {
	file, ok := a.stdout.(*os.File)
	if out == "" || out == "-" {
		if ok && term.IsTerminal(int(file.Fd())) {
			return fmt.Errorf("%w: %s is not written to a terminal: use -o FILE or a pipe", errUsage, what)
		}
	}
	return nil
}

// writeTo writes to a file that is whole or does not exist, or to standard output if out is empty or "-".
func (a *app) writeTo(out string, write func(io.Writer) error) error {
	if out == "" || out == "-" {
		return write(a.stdout)
	}
	return replaceFile(out, write)
}

func (a *app) catShard(ctx context.Context, cfg *config.Config, repo *repository, digest sqlrepo.Digest, version int,
	to io.Writer) (err error) {
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

	row, reading, err := openAny(ctx, shards, rows)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reading.Close()) }()

	// The content is checked on its way out. If it is damaged, a file does not get its name.
	hash := sha256.New()
	content := io.TeeReader(inOrder(ctx, reading, row.Size), hash)

	if version == 2 {
		err = shard.WriteV2(to, row.Size, content, repo.Nodes(ctx, row.ID))
	} else {
		_, err = io.Copy(to, content)
	}
	if err == nil && sqlrepo.Digest(hash.Sum(nil)) != digest {
		err = fmt.Errorf("shard %s: %w", shard.Name(digest), errDamaged)
	}
	return err
}

// openAny opens the first shard that can be opened. The shards have the same bytes, so those whose bytes are kept
// come first.
func openAny(ctx context.Context, shards *shardBytes, rows []sqlrepo.Shard) (sqlrepo.Shard, store.Reading, error) {
	rank := func(row sqlrepo.Shard) int {
		if row.Store == store.NoneIdentity {
			return 1
		}
		return 0
	}

	slices.SortStableFunc(rows, func(a, b sqlrepo.Shard) int { return rank(a) - rank(b) })

	var failed error
	for _, row := range rows {
		reading, err := shards.OpenShard(ctx, row)
		if err == nil {
			return row, reading, nil
		}

		failed = errors.Join(failed, err)
	}
	return sqlrepo.Shard{}, nil, failed
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
