package main

import (
	"reflect"
	"strings"
)

// jsonField is a field of a JSON object, as its Go type declares it.
type jsonField struct {
	name string
	// optional is true if the field may be absent.
	optional bool
	// index leads to the field, through embedded structs.
	index []int
	field reflect.StructField
	// owner is the struct that declares the field.
	owner reflect.Type
}

// jsonFields returns the fields of the JSON object of a struct, in order. Those of embedded structs are among them.
func jsonFields(t reflect.Type) (fields []jsonField) {
	for i := range t.NumField() {
		field := t.Field(i)
		if field.Anonymous {
			embedded, optional := field.Type, false
			if embedded.Kind() == reflect.Pointer {
				embedded, optional = embedded.Elem(), true
			}
			for _, inner := range jsonFields(embedded) {
				inner.index = append([]int{i}, inner.index...)
				inner.optional = inner.optional || optional
				fields = append(fields, inner)
			}
			continue
		}

		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			continue
		}
		fields = append(fields, jsonField{name, strings.Contains(options, "omit"), []int{i}, field, t})
	}
	return fields
}

// elementType returns the type of the elements of a list, and of what a pointer points to.
func elementType(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// pointedTo returns the type of what a pointer points to, and any other type as it is.
func pointedTo(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// rowValues returns the fields of the JSON object of a struct for templates: by their names, with their types. A field
// that is absent in JSON is there, and empty.
func rowValues(v reflect.Value) map[string]any {
	values := map[string]any{}
	for _, field := range jsonFields(v.Type()) {
		found, err := v.FieldByIndexErr(field.index)
		if err != nil { // in an embedded struct that is not there
			found = reflect.Zero(field.field.Type)
		}
		values[field.name] = plainValue(found)
	}
	return values
}

func plainValue(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		switch {
		case !v.IsNil():
			return plainValue(v.Elem())
		case v.Type().Elem().Kind() == reflect.Struct:
			return plainValue(reflect.Zero(v.Type().Elem()))
		}
		return ""
	case reflect.Struct:
		return rowValues(v)
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plainValue(v.Index(i))
		}
		return list
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return v.Bool()
	case reflect.Float64:
		return v.Float()
	case reflect.Uint, reflect.Uint64:
		return int64(v.Uint())
	default:
		return v.Int()
	}
}
