package main

import (
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
)

func TestParseOptions(t *testing.T) {
	tests := map[string]struct {
		args []string
		// want names the corpora and the engines.
		want string
		err  error
	}{
		"defaults":      {nil, "small big; sqlite postgres", nil},
		"chosen":        {[]string{"-corpus", "big", "-engine", "postgres, sqlite"}, "big; postgres sqlite", nil},
		"no such":       {[]string{"-corpus", "small,huge"}, "", errUsage},
		"empty":         {[]string{"-engine", ""}, "", errUsage},
		"no experiment": {[]string{"-only", "prepare,nothing"}, "", errUsage},
		"no rounds":     {[]string{"-rounds", "0"}, "", errUsage},
		"two formats":   {[]string{"-json", "-markdown"}, "", errUsage},
		"argument":      {[]string{"more"}, "", errUsage},
		"help":          {[]string{"-help"}, "", flag.ErrHelp},
		"one of format": {[]string{"-markdown"}, "small big; sqlite postgres", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o, err := parseOptions(test.args, io.Discard)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if got := chosenNames(o); err == nil && got != test.want {
				t.Errorf("chose %q, want %q", got, test.want)
			}
		})
	}
}

func chosenNames(o options) string {
	var corpora, engines []string
	for _, c := range o.corpora {
		corpora = append(corpora, c.name)
	}
	for _, s := range o.engines {
		engines = append(engines, s.name)
	}
	return strings.Join(corpora, " ") + "; " + strings.Join(engines, " ")
}

func TestRoomIsForTheLargestCorpus(t *testing.T) {
	o := options{corpora: []corpus{{room: 5}, {room: 9}, {room: 1}}, engines: make([]starter, 2)}
	if got := o.room(); got != 27 {
		t.Errorf("room %d", got)
	}
	o.keep = true
	if got := o.room(); got != 45 {
		t.Errorf("room to keep %d", got)
	}
}
