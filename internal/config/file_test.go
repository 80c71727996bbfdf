package config_test

import (
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/config"
)

func TestFileIsRefused(t *testing.T) {
	for _, tt := range []struct{ name, file, content, want string }{
		{"no bool", "c.yaml", "repo:\n  auto_migrate: yes\n",
			`:2: repo.auto_migrate: "yes" is not allowed, want true or false`},
		{"number with letters", "c.yaml", "prepare:\n\n  workers: 12abc\n", `:3: prepare.workers: "12abc"`},
		{"number as text", "c.toml", "[prepare]\nworkers = '12'\n", `:2: prepare.workers: "12"`},
		{"text as number", "c.yaml", "prepare: {space: 12}", ":1: prepare.space: 12 (an integer)"},
		{"fraction", "c.toml", "prepare.workers = 1.0", ":1: prepare.workers: 1 (a fraction)"},
		{"negative", "c.yaml", "prepare: {workers: -1}", ":1: prepare.workers: -1"},
		{"NaN", "c.yaml", "prepare: {workers: .nan}", ":1: prepare.workers: NaN"},
		{"NaN", "c.toml", "[prepare]\nshard_size = nan", ":2: prepare.shard_size: NaN"},
		{"over int64", "c.yaml", "prepare:\n  shard_size: 9223372036854775808",
			":2: prepare.shard_size: 9223372036854775808"},
		{"over uint64", "c.yaml", "prepare: {workers: 99999999999999999999}", ":1: prepare.workers: 1e+20"},
		{"over int64", "c.toml", "[prepare]\n\nshard_size = 9223372036854775808",
			":3: prepare.shard_size: toml: decimal number is too large to fit in a 64-bit signed integer; " +
				"want a number of bytes from 128"},
		{"size over int64", "c.yaml", `prepare: {shard_size: "99999999999TiB"}`, ":1: prepare.shard_size"},
		{"size with no meaning", "c.yaml", `prepare: {shard_size: "254Mb"}`, `:1: prepare.shard_size: "254Mb"`},
		{"small shard", "c.yaml", "prepare: {shard_size: 127}", "from 128 to 536870912"},
		{"large shard", "c.toml", "prepare.shard_size = 536870913", "from 128 to 536870912"},
		{"duration without unit", "c.yaml", "repo: {retry_for: 30}",
			"repo.retry_for: 30 (an integer) is not allowed, want a duration"},
		{"short duration", "c.yaml", "repo: {connect_timeout: 99ms}", "from 100ms to 5m"},
		{"no zero", "c.yaml", "repo: {connect_timeout: 0}", "from 100ms to 5m"},
		{"long duration", "c.yaml", "repo: {retry_for: 25h}", "from 0s to 24h"},
		{"list as text", "c.yaml", "prepare: {exclude: '*.tmp'}", `prepare.exclude: "*.tmp" is not allowed, want a list`},
		{"list of numbers", "c.toml", "prepare.exclude = [1]", "prepare.exclude: [1] (a list)"},
		{"empty pattern", "c.yaml", "prepare: {exclude: ['a', '']}", "none of them empty"},
		{"nothing", "c.yaml", "prepare:\n  space:\n", ":2: prepare.space: <nil> (nothing)"},
		{"empty space", "c.yaml", "prepare: {space: ''}", "1 to 255 bytes"},
		{"long space", "c.yaml", "prepare: {space: " + strings.Repeat("x", 256) + "}", "1 to 255 bytes"},
		{"control character", "c.toml", `prepare.space = "a\u0007"`, "without control characters"},
		{"NUL in a path", "c.toml", `repo.data_dir = "a\u0000"`, "repo.data_dir"},
		{"empty directory", "c.toml", `repo.data_dir = ""`, "want a path that is not empty"},
		{"section as value", "c.yaml", "repo: 5", ":1: repo: is a section"},
		{"table array", "c.toml", "[[repo]]\ndata_dir = 'x'", "repo: is a section"},
		{"value as section", "c.yaml", "prepare:\n  workers:\n    max: 3\n", ":3: prepare.workers.max: unknown setting"},
		{"unknown section", "c.toml", "\n[prepar]\nworkers = 1",
			":3: prepar.workers: unknown setting; did you mean prepare.workers?"},
		{"empty unknown section", "c.yaml", "preparation: {}", ":1: preparation: unknown setting"},
		{"setting without section", "c.yaml", "shard_size: 5", "; did you mean prepare.shard_size?"},
		{"unlike all", "c.yaml", "zzzzzzzzzzz: 5", ":1: zzzzzzzzzzz: unknown setting"},
		{"terminal escape", "c.yaml", `"\e[31m": 5`, `:1: "\x1b[31m": unknown setting`},
		{"duplicate", "c.yaml", "log:\n  level: info\n  format: text\n  level: warn\n",
			":4: log.level: already set in line 2"},
		{"duplicate by dots", "c.yaml", "log.level: info\nlog:\n  level: warn\n",
			":3: log.level: already set in line 1"},
		{"duplicate section", "c.yaml", "log: {}\nlog: {}\n", ":2: log: already set in line 1"},
		{"duplicate", "c.toml", "[log]\nlevel = 'info'\nlevel = 'warn'\n", ":3: "},
		{"duplicate section", "c.toml", "[log]\n[prepare]\n[log]\n", ":3: "},
		{"syntax", "c.yaml", "log: [\n", "yaml: line "},
		{"syntax", "c.toml", "\n\nlevel = = 1", ":3: toml: "},
		{"two documents", "c.yaml", "log: {}\n---\nlog: {}\n", ":2: a second YAML document"},
		{"no mapping", "c.yaml", "- log\n", ":1: want sections"},
		{"no mapping", "c.yaml", "just text", ":1: want sections"},
		{"odd name", "c.yaml", "? [a, b]\n: c\n", ":1: a name must be plain text"},
		{"alias to itself", "c.yaml", "log: &a\n  level: *a\n", "contains itself"},
		{"explicit tag", "c.yaml", "prepare: {workers: !!int five}", "cannot decode"},
		{"tab", "c.yaml", "log:\n\tlevel: warn\n", ":2: a tab in the indentation, which YAML does not allow: use spaces"},
		{"tab", "c.yaml", "\tlog:\n", ":1: a tab in the indentation"},
		{"tab after spaces", "c.yaml", "log:\r\n  level: warn\r\n \tformat: json\r\n", ":3: a tab in the indentation"},
		{"tab before a comment", "c.yaml", "log:\n  level: warn\n\t# x\n  format: json\n", ":3: a tab in the indentation"},
		{"tab after a dash", "c.yaml", "prepare:\n  exclude:\n  -\ta\n", ":3: a tab in the indentation"},
		{"tab beside the fault", "c.yaml", "prepare:\n  space: |\n    a\n    \tb\n log: [\n", "yaml: line "},
		{"Latin 1", "c.yaml", "\nprepare: {space: caf\xe9}", ":2: bytes that are not UTF-8: save the file as UTF-8"},
		{"Latin 1", "c.toml", "prepare.space = 'caf\xe9'", ":1: bytes that are not UTF-8"},
		{"UTF-16 without a mark", "c.yaml", "l\x00o\x00g\x00", ":1: a NUL byte: save the file as text in UTF-8"},
		{"NUL", "c.toml", "\n# \x00", ":2: a NUL byte"},
		{"date", "c.toml", "prepare.space = 2020-01-01", "prepare.space: 2020-01-01 (a toml.LocalDate)"},
	} {
		t.Run(tt.name+" "+tt.file, func(t *testing.T) {
			file := write(t, tt.file, tt.content)
			err := mustFail(t, config.Input{HomeDir: home, File: file})
			assertMentions(t, err, "file "+file, tt.want)
		})
	}
}

func TestFileIsTaken(t *testing.T) {
	for _, tt := range []struct{ file, content, key, value, origin string }{
		{"c.yaml", "", "log.level", "info", "default"},
		{"c.toml", "", "log.level", "info", "default"},
		{"c.yaml", "---\n", "log.level", "info", "default"},
		{"c.yaml", "# nothing\n", "log.level", "info", "default"},
		{"c.yaml", "log:\n  # level: debug\nrepo: {}\n", "log.level", "info", "default"},
		{"c.toml", "[log]\n# level\n", "log.level", "info", "default"},
		{"c.yaml", "log.level: warn", "log.level", "warn", ":1"},
		{"c.toml", "log.level = 'warn'", "log.level", "warn", ":1"},
		{"c.toml", "[log]\n\n'level' = 'warn'", "log.level", "warn", ":3"},
		{"c.toml", "log = {format = 'json', level = 'warn'}", "log.level", "warn", ":1"},
		{"c.toml", "[prepare]\nexclude = [\n'a',\n'b']\nspace='x'", "prepare.space", "x", ":5"},
		{"c.yaml", "log: &x\n  level: &w warn\n", "log.level", "warn", ":2"},
		{"c.yaml", "log:\n  <<: {level: warn}\n", "log.level", "warn", ":1"},
		{"c.yaml", "prepare:\n  symlinks: &s skip\n  on_error: *s\n", "prepare.on_error", "skip", ":3"},
		{"c.yaml", "prepare:\n  shard_size: 254 MiB\n", "prepare.shard_size", "266338304", ":2"},
		{"c.yaml", "repo: {retry_for: 0}", "repo.retry_for", "0s", ":1"},
		{"c.yaml", "prepare: {exclude: [a, 'b c']}", "prepare.exclude", "a,b c", ":1"},
		{"c.yaml", "prepare: {space: " + strings.Repeat("x", 255) + "}", "prepare.space", strings.Repeat("x", 255), ":1"},
		{"c.yaml", "log:\r\n  format: text\r\n  level: warn\r\n", "log.level", "warn", ":3"},
		{"c.toml", "[log]\r\nformat='text'\r\nlevel = 'warn'\r\n", "log.level", "warn", ":3"},
		{"c.toml", "[log]\n\tlevel = 'warn'\n", "log.level", "warn", ":2"},
		{"c.yaml", "log:\n  level:\twarn\n", "log.level", "warn", ":2"},
		{"c.yaml", "log: {\n\tlevel: warn}\n", "log.level", "warn", ":2"},
		{"c.yaml", "\ufefflog.level: warn", "log.level", "warn", ":1"},
		{"c.toml", "\ufefflog.level = 'warn'", "log.level", "warn", ":1"},
		{"c.yaml", inUTF16("log:\n  level: warn"), "log.level", "warn", ":2"},
		{"c.toml", inUTF16("[log]\nlevel = 'warn'"), "log.level", "warn", ":2"},
		{"c.yaml", "prepare: {shard_size: 128}", "prepare.shard_size", "128", ":1"},
		{"c.yaml", "prepare: {shard_size: 512MiB}", "prepare.shard_size", "536870912", ":1"},
	} {
		file := write(t, tt.file, tt.content)
		c := mustLoad(t, config.Input{HomeDir: home, File: file})

		origin := tt.origin
		if origin != "default" {
			origin = "file " + file + origin
		}

		if got := valueOf(t, c, tt.key); got.Value != tt.value || string(got.Origin) != origin {
			t.Errorf("%q: got %+v", tt.content, got)
		}
	}
}

// inUTF16 returns ASCII text as Windows writes UTF-16.
func inUTF16(text string) string {
	return "\xff\xfe" + strings.Join(strings.Split(text, ""), "\x00") + "\x00"
}

func TestFileErrorsKeepSecrets(t *testing.T) {
	for _, tt := range []struct{ file, content string }{
		{"c.yaml", "postgres://u:hunter2@h/db"},
		{"c.yaml", "postgres://u:hunter2@h/db: 1"},
		{"c.yaml", "repo:\n  database_url: [hunter2]\n"},
		{"c.yaml", "repo:\n  database_url: !!int hunter2\n"},
		{"c.yaml", "repo:\n  database_url: *hunter2\n"},
		{"c.yaml", "repo:\n  database_url: mysql://u:hunter2@h/db\n"},
		{"c.yaml", "repo:\n  database_url: postgres://u:hunter2#@h/db\n"},
		{"c.yaml", "repo:\n  database_url: postgres://u:hunter2%zz@h/db\n"},
		{"c.yaml", "repo:\n  database_url: host=h password='hunter2\n"},
		{"c.yaml", "repo:\n  database_type: postgres://u:hunter2@h/db\n"},
		{"c.yaml", "repo:\n  database_type: u:hunter2@h/db\n"},
		{"c.yaml", "repo:\n  database_type: host=h password=hunter2\n"},
		{"c.yaml", "repo:\n  database_type: postgresql//u:hunter2@h/db\n"},
		{"c.yaml", "repo:\n  database_url: postgresql//u:hunter2@h/db\n"},
		{"c.yaml", "postgresql//u:hunter2@h/db: 1"},
		{"c.yaml", "repo:\n  database_type: [postgres://u:hunter2@h/db]\n"},
		{"c.yaml", "repo:\n  database_type: sqlite\n  database_url: postgres://u:hunter2@h/db\n"},
		{"c.yaml", "repo: {database_url: postgres://h/db, database_password_file: hunter2}"},
		{"c.toml", "repo.database_url = postgres://u:hunter2@h/db"},
		{"c.toml", "repo.database_url = 'hunter2\n"},
		{"c.toml", "repo.database_url = ['hunter2']"},
		{"c.toml", "repo.database_url = \"hunter2\\x\""},
	} {
		err := mustFail(t, config.Input{HomeDir: home, File: write(t, tt.file, tt.content)})

		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", tt.content, err)
		}
	}
}

func valueOf(t *testing.T, c *config.Config, key string) config.Value {
	t.Helper()
	for _, v := range c.Values() {
		if v.Key == key {
			return v
		}
	}
	t.Fatalf("no value for %s", key)
	return config.Value{}
}
