package copying

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	sq "github.com/Masterminds/squirrel"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/testing/enginetest"
	"github.com/guppy-prep/guppy/sqlrepo"
	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// TestADifferentCopyIsNotCommitted changes a row in the target's transaction, between writing and reading back.
func TestADifferentCopyIsNotCommitted(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, db *dialect.DB) {
		source, target := sqlrepo.New(enginetest.Engines()[0].Open(t)), sqlrepo.New(db)
		one := sqlrepo.Space{DID: "did:key:one", Name: "one", ShardSize: 1 << 20}
		if _, err := source.AddSpace(t.Context(), one); err != nil {
			t.Fatal(err)
		}
		for what, change := range map[string]sq.Sqlizer{
			"changed": sq.Update("spaces").Set("shard_size", sq.Expr("shard_size + 1")),
			"missing": sq.Delete("spaces"),
		} {
			err := target.DB().Transact(t.Context(), "copy", func(tx *core.Tx) error {
				_, err := New(source).fill(t.Context(), tx, Transfer{Progress: func(TransferProgress) {
					if _, err := tx.Exec(t.Context(), change); err != nil {
						t.Error(err)
					}
				}})
				return err
			})
			if !errors.Is(err, ErrDifferent) || !strings.Contains(err.Error(), "spaces") {
				t.Errorf("a row is %s: %v", what, err)
			}
			var dump bytes.Buffer
			if err := New(target).Dump(t.Context(), &dump); err != nil || dump.Len() > 0 {
				t.Errorf("the target holds %s; %v", &dump, err)
			}
		}
	})
}
