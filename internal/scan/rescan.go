package scan

import (
	"context"

	"github.com/guppy-prep/guppy/internal/source"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// Again scans the entries that were found changed while they were packed, each by itself. Those that can be prepared are
// Rescanned and can be planned, the others Failed. It returns how many can be planned.
func (s *Scanner) Again(ctx context.Context, stage sqlrepo.Stage) (rescanned int, err error) {
	var batch sqlrepo.ScanBatch
	save := func() error {
		if err := source.Present(s.FS, s.Root); err != nil {
			return err
		}
		err := s.Repo.SaveScan(ctx, stage, batch)
		batch = sqlrepo.ScanBatch{}
		return err
	}
	changed := sqlrepo.EntryFilter{States: []sqlrepo.EntryState{sqlrepo.Changed}}
	for row, err := range s.Repo.Entries(ctx, stage.Upload.ID, changed) {
		if err != nil {
			return rescanned, err
		}
		found, err := source.Rescan(ctx, s.FS, s.Root, s.Options, row.Path)
		if err != nil {
			return rescanned, err
		}
		s.Alive(1)
		found.ID, found.Path = row.ID, row.Path
		if found.State == sqlrepo.Ready {
			found.State = sqlrepo.Rescanned
			rescanned++
		}
		if batch.Changed = append(batch.Changed, found); batch.Len() == batchSize {
			if err := save(); err != nil {
				return rescanned, err
			}
		}
	}
	if batch.Len() == 0 {
		return rescanned, nil
	}
	return rescanned, save()
}
