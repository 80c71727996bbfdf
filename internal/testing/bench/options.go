package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

var errUsage = errors.New("usage")

type options struct {
	experiments []experiment
	corpora     []corpus
	engines     []starter
	rounds      int
	seed        uint64
	dir         string
	keep        bool
	format      func(io.Writer, *report) error
}

func parseOptions(args []string, output io.Writer) (options, error) {
	var o options
	var experimentNames, corpusNames, engineNames, sizes, away, crews, script string
	var json, markdown bool
	var s scales

	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.StringVar(&experimentNames, "only", usual,
		"the experiments to run, with commas between them; there are also distance, lookup, scale, rescan and snapshots")
	flags.StringVar(&sizes, "entries", "100000,1000000",
		"the sizes of the repositories of scale and rescan, with commas between them, the smallest first; snapshots has one")
	flags.StringVar(&s.filled, "filled", "",
		"a directory in which the repositories of scale are kept, and used again by the next run")
	flags.BoolVar(&s.cold, "cold", false, "scale: before each query, restart the server and drop the files from memory")
	flags.StringVar(&s.only, "query", "", "scale: measure only queries whose names have this in them")
	flags.StringVar(&away, "away", "5ms,20ms,80ms", "the round trips of distance, with commas between them")
	flags.StringVar(&crews, "workers", "1,4", "the numbers of workers of distance, with commas between them")
	flags.StringVar(&script, "sql", "", "a file of statements that are carried out before snapshots on PostgreSQL")
	flags.StringVar(&corpusNames, "corpus", "small,big", "the corpora to measure, with commas between them")
	flags.StringVar(&engineNames, "engine", "sqlite,postgres", "the database engines to measure, with commas between them")
	flags.IntVar(&o.rounds, "rounds", 5, "how often each program runs on each corpus")
	flags.Uint64Var(&o.seed, "seed", 1, "what the corpora are made from")
	flags.StringVar(&o.dir, "dir", "", "directory to work in (default: /dev/shm if it is a tmpfs with room, else $TMPDIR)")
	flags.BoolVar(&o.keep, "keep", false, "leave the corpora, and the output and databases of the last runs")
	flags.BoolVar(&json, "json", false, "print all that was measured as JSON")
	flags.BoolVar(&markdown, "markdown", false, "print a Markdown table")

	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 || o.rounds < 1 || json && markdown {
		return o, fmt.Errorf("%w: flags only, at least one round, and one of -json and -markdown (see -help)", errUsage)
	}

	o.format = formatOf(json, markdown)
	var err error
	if s.sizes, err = parseSizes(sizes); err != nil {
		return o, err
	}
	far, err := parseDistances(away, crews)
	if err != nil {
		return o, err
	}
	var statements []byte
	if script != "" {
		if statements, err = os.ReadFile(script); err != nil {
			return o, err
		}
	}
	o.experiments, err = choose("experiment", experimentNames, experiments(s, far, string(statements)),
		func(e experiment) string { return e.name })
	if err != nil {
		return o, err
	}
	if o.corpora, err = choose("corpus", corpusNames, corpora(), func(c corpus) string { return c.name }); err != nil {
		return o, err
	}

	o.engines, err = choose("engine", engineNames, starters(), func(s starter) string { return s.name })
	return o, err
}

func formatOf(json, markdown bool) func(io.Writer, *report) error {
	switch {
	case json:
		return printJSON
	case markdown:
		return printMarkdown
	}
	return printText
}

// choose returns what a list names, in the order of the list.
func choose[T any](kind, list string, all []T, name func(T) string) (chosen []T, err error) {
	for wanted := range strings.SplitSeq(list, ",") {
		before := len(chosen)
		for _, candidate := range all {
			if name(candidate) == strings.TrimSpace(wanted) {
				chosen = append(chosen, candidate)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("%w: there is no %s %q", errUsage, kind, wanted)
		}
	}
	return chosen, nil
}
