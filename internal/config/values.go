package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/guppy-prep/guppy/dialect"
	"github.com/guppy-prep/guppy/internal/config/secret"
	"github.com/knadh/koanf/providers/structs"
	"github.com/knadh/koanf/v2"
)

// Value is a setting in a form that is safe to show.
type Value struct {
	Key string
	// Value has its secrets redacted. Of a connection string it keeps the scheme, user, host and database.
	Value  string
	Origin Origin
	// Reason says why the value that was given is not used, or is "".
	Reason string
}

// Values returns all settings with the values in force, in a fixed order by section.
func (c *Config) Values() []Value {
	k := koanf.New(".")
	// Reading a struct into an empty tree cannot fail.
	_ = k.Load(structs.Provider(*c, "koanf"), nil)
	values := make([]Value, 0, len(keys))
	for _, key := range keys {
		values = append(values, Value{key.name, showSetting(key, k.Get(key.name)), c.Origin(key.name), c.unused[key.name]})
	}
	return values
}

func showSetting(k keySpec, v any) string {
	switch v := v.(type) {
	case secret.String:
		if k.kind == (hidden{whole: true}) {
			return v.String()
		}
		return dialect.Redact(v.Reveal())
	case time.Duration:
		return showDuration(v)
	case []string:
		return strings.Join(v, ",")
	}
	return fmt.Sprint(v)
}
