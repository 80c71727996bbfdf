package sqlrepo_test

import (
	"database/sql"
	"testing"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func TestColumnsRefuseWhatTheyDidNotStore(t *testing.T) {
	for name, tt := range map[string]struct {
		into sql.Scanner
		from any
	}{
		"CID of text":        {new(sqlrepo.CID), "bafkqaaa"},
		"CID cut short":      {new(sqlrepo.CID), []byte{1, 0x55, 0x12, 0x20, 0}},
		"CID of a number":    {new(sqlrepo.CID), int64(1)},
		"DID of other text":  {new(sqlrepo.DID), "z6Mk"},
		"no DID":             {new(sqlrepo.DID), nil},
		"time of text":       {new(sqlrepo.Time), "2026-01-01"},
		"lines of a number":  {new(sqlrepo.Lines), int64(1)},
		"path of a fraction": {new(sqlrepo.Path), 1.5},
	} {
		if err := tt.into.Scan(tt.from); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// A driver may use its buffer again for the next row.
func TestColumnsKeepCopies(t *testing.T) {
	buffer := []byte("a\x00b")
	var path sqlrepo.Path
	if err := path.Scan(buffer); err != nil {
		t.Fatal(err)
	}
	buffer[0] = 'x'
	if path != "a\x00b" {
		t.Errorf("the path became %q", path)
	}
}

func TestNullColumns(t *testing.T) {
	cid, moment := sqlrepo.CID{}, sqlrepo.Time{}
	for _, column := range []sql.Scanner{&cid, &moment} {
		if err := column.Scan(nil); err != nil {
			t.Error(err)
		}
	}
	for _, value := range []func() (any, error){
		func() (any, error) { return cid.Value() },
		func() (any, error) { return moment.Value() },
	} {
		if stored, err := value(); stored != nil || err != nil {
			t.Errorf("stored %v, %v", stored, err)
		}
	}
	if cid.String() != "" {
		t.Errorf("an undefined CID is %q", cid)
	}
}
