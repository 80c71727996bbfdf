package dialect

import (
	"fmt"
	"slices"
	"strings"
)

// registered holds all engines, in the order in which they are asked whether a database is theirs.
var registered []Engine

// Register makes engines known, in the order in which they are asked whether a database is theirs. Package
// dialect/engines calls it when the program starts.
func Register(engines ...Engine) {
	registered = append(registered, engines...)
	halfURL = compileHalfURL()
}

// Names returns the engines' names, as the configuration spells them.
func Names() []string {
	var names []string
	for _, engine := range registered {
		names = append(names, engine.Facts().Name)
	}
	slices.Sort(names)
	return names
}

// EngineOf returns the engine that the settings are for. Without a type it is the first engine that claims them.
// EngineOf returns ErrSettings if the type is unknown or disagrees with the URL, or if the URL is malformed or for
// no engine. The error quotes nothing of the URL.
func EngineOf(s Settings) (Engine, error) {
	if s.Type != "" {
		named, err := engineNamed(s.Type)
		if err != nil || s.URL == "" {
			return named, err
		}
	}

	claiming, err := engineClaiming(s)
	if err != nil {
		return nil, err
	}
	if name := claiming.Facts().Name; s.Type != "" && s.Type != name {
		return nil, SettingsError(fmt.Sprintf("the URL is for %s, but repo.database_type is %s", name, s.Type))
	}
	return claiming, nil
}

func engineNamed(name string) (Engine, error) {
	for _, engine := range registered {
		if engine.Facts().Name == name {
			return engine, nil
		}
	}
	return nil, SettingsError(
		fmt.Sprintf("unknown database type %q (allowed: %s)", Redact(name), strings.Join(Names(), ", ")))
}

func engineClaiming(s Settings) (Engine, error) {
	for _, engine := range registered {
		if engine.Claims(s) {
			return engine, engine.CheckURL(s.URL.Reveal())
		}
	}
	return nil, noURL()
}

func noURL() error {
	if len(registered) == 0 {
		return SettingsError("no engine is registered: import package dialect/engines")
	}
	var forms []string
	for _, engine := range registered {
		forms = append(forms, engine.Facts().Forms...)
	}
	return SettingsError("not a database URL: want " + strings.Join(forms, ", "))
}
