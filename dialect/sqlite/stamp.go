package sqlite

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/jmoiron/sqlx"
)

// The stamp of an archive is the digest of its whole file, as if the stamp itself were zeros. A table of its own keeps
// its digits in one piece, and once in the file.
const (
	stampTable = "archive_stamp"
	stampSize  = 2 * sha256.Size
)

// stampArchive writes the stamp into an archive that no process has open. Its content is durable when stampArchive
// returns.
func stampArchive(ctx context.Context, file, blank string) (err error) {
	archive, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()

	stamp, at, err := stampOf(ctx, archive, blank)
	if err != nil {
		return err
	}
	if _, err := archive.WriteAt([]byte(stamp), at); err != nil {
		return err
	}
	return archive.Sync()
}

// addBlank makes room for a stamp. It is the last change of the archive through SQLite.
func addBlank(ctx context.Context, tx sqlx.ExecerContext) (blank string, err error) {
	digits := make([]byte, sha256.Size)
	_, _ = rand.Read(digits) // it never fails
	blank = hex.EncodeToString(digits)
	if _, err := tx.ExecContext(ctx, "CREATE TABLE "+stampTable+" (digest TEXT NOT NULL)"); err != nil {
		return "", err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO "+stampTable+" (digest) VALUES (?)", blank)
	return blank, err
}

// checkStamp returns ErrDamaged unless the file is the one that was stamped.
func checkStamp(ctx context.Context, db *sqlx.DB, file string) (err error) {
	var said string
	if err := db.GetContext(ctx, &said, "SELECT digest FROM "+stampTable); err != nil {
		return err
	}

	archive, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()

	if len(said) != stampSize {
		return fmt.Errorf("%w: the digest of the file has %d digits", ErrDamaged, len(said))
	}

	stamp, _, err := stampOf(ctx, archive, said)
	if err == nil && stamp != said {
		err = fmt.Errorf("%w: the file is not the one that was written", ErrDamaged)
	}
	return err
}

// stampOf returns the digest of a file as if the given digits in it were zeros, and the position of the digits. They
// must be in the file exactly once.
func stampOf(ctx context.Context, file *os.File, digits string) (stamp string, at int64, err error) {
	info, err := file.Stat()
	if err != nil {
		return "", 0, err
	}
	if at, err = findOnce(ctx, file, info.Size(), []byte(digits)); err != nil {
		return "", 0, err
	}

	sum := sha256.New()
	err = addTo(ctx, sum, io.NewSectionReader(file, 0, at))
	if err == nil {
		sum.Write(make([]byte, stampSize))
		err = addTo(ctx, sum, io.NewSectionReader(file, at+stampSize, info.Size()-at-stampSize))
	}
	return hex.EncodeToString(sum.Sum(nil)), at, err
}

// stride is the number of bytes of an archive that are read between two checks of the context.
const stride = 1 << 20

// findOnce returns the position of some bytes in a file. It returns ErrDamaged if they are missing or in several
// places.
func findOnce(ctx context.Context, file io.ReaderAt, size int64, wanted []byte) (at int64, err error) {
	at = -1
	buffer := make([]byte, stride+len(wanted)-1)
	for base := int64(0); base < size; base += stride {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		chunk := buffer[:min(int64(len(buffer)), size-base)]
		if _, err := file.ReadAt(chunk, base); err != nil {
			return 0, err
		}

		switch n := bytes.Count(chunk, wanted); {
		case n == 0:
		case n > 1 || at >= 0:
			return 0, fmt.Errorf("%w: the digest of the file is in several places", ErrDamaged)
		default:
			at = base + int64(bytes.Index(chunk, wanted))
		}
	}

	if at < 0 {
		return 0, fmt.Errorf("%w: the digest of the file is not in one piece", ErrDamaged)
	}
	return at, nil
}

func addTo(ctx context.Context, sum hash.Hash, from io.Reader) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := io.CopyN(sum, from, stride); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
