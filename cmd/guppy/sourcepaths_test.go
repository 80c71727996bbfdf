package main

import (
	"maps"
	"testing"

	"github.com/guppy-prep/guppy/sqlrepo"
)

func TestSourcePaths(t *testing.T) {
	known := []spaceSource{
		{"home", sqlrepo.Source{ID: 1, Name: "photos", Path: []byte("/mnt/photos")}},
		{"work", sqlrepo.Source{ID: 2, Name: "photos", Path: []byte("/srv/photos")}},
		{"work", sqlrepo.Source{ID: 3, Name: "a=b", Path: []byte("/srv/a=b")}},
	}

	for _, c := range []struct {
		name  string
		pairs []string
		want  sourcePaths
	}{
		{"the path that is registered", []string{"/mnt/photos=/x"}, sourcePaths{1: "/x"}},
		{"the space before the name", []string{"work/photos=/x=y"}, sourcePaths{2: "/x=y"}},
		{"an equals sign in the name", []string{"a=b=/x", "home/photos=/y"}, sourcePaths{1: "/y", 3: "/x"}},
		{"an equals sign in the path", []string{"/srv/a=b=/x"}, sourcePaths{3: "/x"}},
		{"the same twice", []string{"a=b=/x", "work/a=b=/x"}, sourcePaths{3: "/x"}},
		{"two paths", []string{"a=b=/x", "work/a=b=/y"}, nil},
		{"a name of two sources", []string{"photos=/x"}, nil},
		{"an unknown source", []string{"a=/x"}, nil},
		{"no path", []string{"/mnt/photos="}, nil},
		{"no source", []string{"=/x"}, nil},
		{"no pair", []string{"photos"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, failed := sourcePaths{}, false
			for _, pair := range c.pairs {
				failed = got.add(known, pair) != nil || failed
			}

			if failed != (c.want == nil) || !failed && !maps.Equal(got, c.want) {
				t.Errorf("got %v, failed: %t", got, failed)
			}
		})
	}
}
