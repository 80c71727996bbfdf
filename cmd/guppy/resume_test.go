package main

import (
	"os"
	"slices"
	"testing"

	"github.com/guppy-prep/guppy/sqlrepo"
)

// TestTheRestOfARemovalIsNamedByNumber removes some of the uploads that were named.
func TestTheRestOfARemovalIsNamedByNumber(t *testing.T) {
	for _, test := range []struct {
		flags         []string
		keys, removed []int64
		want          []string
	}{
		{nil, []int64{3}, []int64{3}, []string{"guppy gc --yes"}},
		{[]string{"--yes", "--store-path", "a b=c"}, []int64{3}, []int64{3}, []string{"guppy gc --store-path 'a b=c' --yes"}},
		{nil, []int64{3, 5}, []int64{3}, []string{"guppy gc --yes", "guppy upload rm 5 --yes"}},
		{[]string{"--keep-files"}, []int64{3, 5}, []int64{3}, []string{"guppy upload rm 3 5 --keep-files"}},
	} {
		a := newApp(nil, nil, nil, os.Stderr)
		command, _, err := a.rootCommand().Find([]string{"upload", "rm"})
		if err != nil {
			t.Fatal(err)
		}
		if err := command.ParseFlags(test.flags); err != nil {
			t.Fatal(err)
		}

		options := newUploadRmOptions(command)
		options.keepFiles = slices.Contains(test.flags, "--keep-files")
		if got := options.rest(test.keys, test.removed); !slices.Equal(got, test.want) {
			t.Errorf("%v after %v of %v: %q, want %q", test.flags, test.removed, test.keys, got, test.want)
		}
	}
}

// TestShardsWithoutRowsAreStrays goes on with a removal of shards that has emptied the rows of some.
func TestShardsWithoutRowsAreStrays(t *testing.T) {
	command, _, err := newApp(nil, nil, nil, os.Stderr).rootCommand().Find([]string{"shard", "rm"})
	if err != nil {
		t.Fatal(err)
	}
	if err := command.ParseFlags([]string{"--yes"}); err != nil {
		t.Fatal(err)
	}

	if got := shardRmLines(command, nil); !slices.Equal(got, []string{"guppy gc --yes --strays"}) {
		t.Errorf("%q", got)
	}
	left := []sqlrepo.Shard{{Digest: make([]byte, 32)}}
	if got := shardRmLines(command, left); len(got) != 2 || got[1] !=
		"guppy shard rm bagbaieraaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa --yes" {
		t.Errorf("%q", got)
	}
}
