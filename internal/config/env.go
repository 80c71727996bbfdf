package config

import (
	"slices"
	"strings"
)

// environLayer reads the GUPPY_* variables. An empty variable counts as not set. Variables are looked up by name,
// not split into parts, because the names of settings contain underscores themselves.
func environLayer(environ []string) *layer {
	l := newLayer()
	vars := guppyVars(environ)

	for _, k := range keys {
		l.addVariable(k, vars)
		delete(vars, k.env())
		delete(vars, k.short)
	}

	for _, name := range sortedKeys(vars) {
		l.problem("", envOrigin(printable(name)), "unknown variable"+didYouMeanVariable(name))
	}

	return l
}

func (l *layer) addVariable(k keySpec, vars map[string]string) {
	name, value := k.env(), vars[k.env()]
	short := vars[k.short]

	if value != "" && short != "" && value != short {
		l.problem(k.name, envOrigin(name), "differs from "+k.short+", which means the same: set one of them")
		return
	}

	if value == "" {
		name, value = k.short, short
	}

	if value != "" {
		l.addText(k.name, value, envOrigin(name))
	}
}

// guppyVars returns the GUPPY_* variables. If several have the same name it keeps the first, like getenv.
func guppyVars(environ []string) map[string]string {
	vars := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || strings.HasPrefix(name, envTestPrefix) || isServiceLink(name, value) {
			continue
		}
		if _, seen := vars[name]; !seen {
			vars[name] = value
		}
	}
	return vars
}

func sortedKeys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
