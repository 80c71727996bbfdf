package config

import "strings"

const maxSuggestions = 3

// spelling is a name and the part of the name that people are most likely to write alone.
type spelling struct{ full, tail string }

func keyNames() []spelling {
	var names []spelling
	for _, k := range keys {
		names = append(names, spelling{k.name, lastPart(k.name)})
	}
	return names
}

func envNames() []spelling {
	var names []spelling
	for _, k := range keys {
		names = append(names, spelling{k.env(), strings.ToUpper(lastPart(k.name))})
		if k.short != "" {
			names = append(names, spelling{k.short, strings.TrimPrefix(k.short, envPrefix)})
		}
	}
	return names
}

func lastPart(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

func didYouMeanKey(key string) string {
	return didYouMean(spelling{key, lastPart(key)}, keyNames())
}

func didYouMeanVariable(variable string) string {
	return didYouMean(spelling{variable, strings.TrimPrefix(variable, envPrefix)}, envNames())
}

// DidYouMean returns what a message about an unknown name ends with: "; did you mean photos?" if known names resemble
// it, and else "". The prefix is put before the names of the answer.
func DidYouMean(prefix, unknown string, known []string) string {
	names := make([]spelling, len(known))
	for i, name := range known {
		names[i] = spelling{prefix + name, name}
	}
	return didYouMean(spelling{prefix + unknown, unknown}, names)
}

func didYouMean(unknown spelling, known []spelling) string {
	found := nearest(unknown, known)
	if len(found) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(found, " or ") + "?"
}

// nearest returns the known names that a mistyped name may stand for. These are the names at the least edit
// distance, in whole or in the tail. If no name is similar it returns none.
func nearest(unknown spelling, known []spelling) []string {
	// A longer name is similar to no other, and its distance would take long to compute.
	const longest = 100

	if len(unknown.full) > longest {
		return nil
	}

	best := max(2, len(unknown.tail)/3)
	var found []string
	for _, candidate := range known {
		d := min(distance(unknown.full, candidate.full), distance(unknown.tail, candidate.tail))
		if 2*d > max(len(unknown.tail), len(candidate.tail)) {
			continue // most letters differ
		}
		if d < best {
			best, found = d, nil
		}
		if d == best {
			found = append(found, candidate.full)
		}
	}

	return found[:min(len(found), maxSuggestions)]
}

// distance returns the number of bytes that have to be inserted, deleted, replaced, or swapped with the next one to get
// from one name to the other. Nothing is changed twice.
func distance(a, b string) int {
	// row[j] is the distance between the part of a seen so far and the first j bytes of b. Above it are the rows for
	// one byte less, and for two.
	row, above, above2 := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}

	for i := range len(a) {
		row, above, above2 = above2, row, above
		row[0] = i + 1

		for j := range len(b) {
			replaced := above[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(replaced, row[j]+1, above[j+1]+1)

			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], above2[j-1]+1)
			}
		}
	}

	return row[len(b)]
}
