package audit

import (
	"context"
	"fmt"
	"time"

	sq "github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"

	"github.com/guppy-prep/guppy/sqlrepo/internal/core"
)

// rule is a query for the rows that have a flaw. It selects the columns of flawed.
type rule struct {
	code string
	// detail is a format for the found and the wanted value.
	detail string
	flaws  sq.SelectBuilder
}

// flawed selects the columns of a rule: the keys of three rows, the found value and the wanted value.
func flawed(upload, shard, entry, is, want string) sq.SelectBuilder {
	whole := func(expression, name string) string {
		return "CAST(COALESCE(" + expression + ", 0) AS BIGINT) AS " + name
	}
	return sq.Select(whole(upload, "upload"), whole(shard, "shard"), whole(entry, "entry"), whole(is, "found"),
		whole(want, "wanted"))
}

// rules returns the checks that are single queries.
func (a *Auditor) rules(s scope) (rules []rule) {
	if s.upload == nil {
		rules = append(rules, counterRules()...)
		rules = append(rules, orphanRules()...)
		rules = append(rules, spaceRules()...)
		rules = append(rules, replicaRules()...)
	}
	rules = append(rules, uploadRules(s)...)
	rules = append(rules, a.leaseRules(s)...)
	rules = append(rules, entryRules(s)...)
	rules = append(rules, shardRules(s)...)
	return append(rules, indexRules(s)...)
}

// snapshotFor is how long one snapshot serves further rules. An old snapshot keeps the engine from reclaiming rows
// that others replace.
const snapshotFor = time.Second

// applySome applies rules, at least one, until snapshotFor has passed, and returns the remaining ones.
func applySome(ctx context.Context, tx *core.Snapshot, rules []rule,
	found func(Flaw) error) ([]rule, error) {
	for began := time.Now(); len(rules) > 0 && time.Since(began) < snapshotFor; rules = rules[1:] {
		if err := apply(ctx, tx, rules[0], found); err != nil {
			return nil, fmt.Errorf("%s: %w", rules[0].code, err)
		}
	}
	return rules, nil
}

func apply(ctx context.Context, tx *core.Snapshot, rule rule, found func(Flaw) error) error {
	return tx.Stream(ctx, rule.flaws, func(rows *sqlx.Rows) error {
		flaw, is, want := Flaw{Code: rule.code}, int64(0), int64(0)
		if err := rows.Scan(&flaw.Upload, &flaw.Shard, &flaw.Entry, &is, &want); err != nil {
			return err
		}

		switch {
		case rule.code == FlawBlockTwice:
			flaw.Other = is
		case ofIndex(rule.code):
			flaw.Index = is
		}

		// The third verb keeps Sprintf from reporting the values that a detail does not use.
		flaw.Detail = fmt.Sprintf(rule.detail+"%[3]s", is, want, "")
		return found(flaw)
	})
}
