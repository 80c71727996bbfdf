package config

// Flag is a flag that was given on the command line.
type Flag struct {
	// Name is the name of the flag without its dashes.
	Name string
	// Value has the type of the setting, or is text to be parsed.
	Value any
}

func flagLayer(flags map[string]Flag) *layer {
	l := newLayer()
	for _, name := range sortedKeys(flags) {
		flag := flags[name]
		if text, ok := flag.Value.(string); ok {
			l.addText(name, text, flagOrigin(flag.Name))
		} else {
			l.add(name, flag.Value, flagOrigin(flag.Name))
		}
	}
	return l
}
