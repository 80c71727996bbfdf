package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// jsonStream prints an object with one array, element by element, because there may be many elements.
type jsonStream struct {
	out      *bufio.Writer
	nonEmpty bool
}

// streamJSON begins an object with the array of this name.
func (a *app) streamJSON(name string) *jsonStream {
	s := &jsonStream{out: bufio.NewWriter(a.stdout)}
	fmt.Fprintf(s.out, "{%q:[", name)
	return s
}

func (s *jsonStream) element(value any) error {
	if s.nonEmpty {
		if err := s.out.WriteByte(','); err != nil {
			return err
		}
	}
	s.nonEmpty = true
	return s.encode(value)
}

func (s *jsonStream) encode(value any) error {
	encoded, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = s.out.Write(encoded)
	return err
}

// end ends the array, adds the members that are only known then, and ends the object.
func (s *jsonStream) end(further map[string]any) error {
	fmt.Fprint(s.out, "]")
	for _, name := range sortedKeys(further) {
		fmt.Fprintf(s.out, ",%q:", name)
		if err := s.encode(further[name]); err != nil {
			return err
		}
	}
	_, err := io.WriteString(s.out, "}\n")
	return errors.Join(err, s.out.Flush())
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
