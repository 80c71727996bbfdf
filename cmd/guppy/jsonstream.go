package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// jsonSchema is the version of what --json prints. It is raised when a field gets another meaning, another type or
// another name, or goes away, and not when one is added.
const jsonSchema = 1

// encodeJSON returns the JSON object of a value, which has to be a struct, without its braces.
func encodeJSON(value any) ([]byte, error) {
	encoded, err := marshalJSON(value)
	if err != nil {
		return nil, err
	}
	members, isObject := bytes.CutPrefix(encoded, []byte("{"))
	if !isObject {
		return nil, fmt.Errorf("%T is no JSON object", value)
	}
	return bytes.TrimSuffix(members, []byte("}")), nil
}

// marshalJSON encodes a value. A list without elements is [], never null. The characters <, > and & stay as they are,
// because the output is not for HTML.
func marshalJSON(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(withLists(value))
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// withLists returns a value in which no list is nil. Objects that the value points to are changed in place.
func withLists(value any) any {
	if value == nil {
		return nil
	}
	held := reflect.New(reflect.TypeOf(value)).Elem()
	held.Set(reflect.ValueOf(value))
	makeLists(held)
	return held.Interface()
}

func makeLists(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			makeLists(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Field(i); field.CanSet() || v.Type().Field(i).Anonymous {
				makeLists(field)
			}
		}
	case reflect.Slice:
		if v.IsNil() && v.CanSet() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			makeLists(v.Index(i))
		}
	}
}

// writeJSON writes a struct as one JSON object in a line, with the version of the output before its fields.
func writeJSON(w io.Writer, value any) error {
	s := &jsonStream{out: bufio.NewWriter(w)}
	return s.end(value)
}

// jsonStream prints an object whose lists are printed element by element, because there may be many elements.
type jsonStream struct {
	out *bufio.Writer
	// list is the open list. begun is true if the object was begun, and filled if the list has an element.
	list          string
	begun, filled bool
}

// streamJSON returns the stream of an object that is printed to standard output.
func (a *app) streamJSON() *jsonStream { return &jsonStream{out: bufio.NewWriter(a.stdout)} }

// begin begins the list of this name, unless it is the open one. Each list is begun once.
func (s *jsonStream) begin(list string) error {
	if s.list == list {
		return nil
	}

	err := s.closeList()
	s.list, s.filled = list, false
	_, writeErr := fmt.Fprintf(s.out, ",%q:[", list)
	return errors.Join(err, writeErr)
}

func (s *jsonStream) closeList() error {
	text := ""
	if !s.begun {
		text = fmt.Sprintf(`{"schema":%d`, jsonSchema)
	}
	if s.list != "" {
		text += "]"
	}

	s.begun, s.list = true, ""
	_, err := s.out.WriteString(text)
	return err
}

// element prints an element of the open list.
func (s *jsonStream) element(value any) error {
	encoded, err := marshalJSON(value)
	if err != nil {
		return err
	}

	if s.filled {
		encoded = append([]byte(","), encoded...)
	}
	s.filled = true
	_, err = s.out.Write(encoded)
	return err
}

// end ends the open list, adds the fields of a struct, which may only be known now, and ends the object.
func (s *jsonStream) end(further any) error {
	members, err := encodeJSON(further)
	if err != nil {
		return err
	}
	if err := s.closeList(); err != nil {
		return err
	}

	if len(members) > 0 {
		members = append([]byte(","), members...)
	}
	_, err = s.out.Write(append(members, "}\n"...))
	return errors.Join(err, s.out.Flush())
}

// finished ends an object whose lists are printed element by element.
type finished struct {
	Finished bool `json:"finished"` // false if an error has cut the output short
}
