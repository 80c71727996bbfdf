package config_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/guppy-prep/guppy/internal/config"
)

func TestEnvironmentValues(t *testing.T) {
	for _, tt := range []struct{ variable, key, want string }{
		{"GUPPY_REPO_MAX_OPEN_CONNS=12", "repo.max_open_conns", "12"},
		{"GUPPY_REPO_MAX_OPEN_CONNS=010", "repo.max_open_conns", "10"},
		{"GUPPY_REPO_AUTO_MIGRATE=true", "repo.auto_migrate", "true"},
		{"GUPPY_REPO_AUTO_MIGRATE=1", "repo.auto_migrate", "true"},
		{"GUPPY_REPO_CONN_MAX_IDLE_TIME=1m30s", "repo.conn_max_idle_time", "1m30s"},
		{"GUPPY_REPO_CONN_MAX_LIFETIME=120m", "repo.conn_max_lifetime", "2h"},
		{"GUPPY_PREPARE_SHARD_SIZE=100MB", "prepare.shard_size", "100000000"},
		{"GUPPY_PREPARE_EXCLUDE= *.tmp, .git/ ", "prepare.exclude", "*.tmp,.git/"},
		{"GUPPY_PREPARE_EXCLUDE=  ", "prepare.exclude", ""},
		{"GUPPY_PREPARE_SPACE=a=b", "prepare.space", "a=b"},
		{"GUPPY_REPO_DATA_DIR=/d", "repo.data_dir", "/d"},
		{"GUPPY_DATA_DIR=/d", "repo.data_dir", "/d"},
		{"GUPPY_DATABASE_TYPE=sqlite", "repo.database_type", "sqlite"},
		{"GUPPY_DATABASE_URL=/x.db", "repo.database_url", "/x.db"},
		{"GUPPY_REPO_DATABASE_URL=postgres://h/db", "repo.database_url", "postgres://h/db"},
	} {
		c := mustLoad(t, config.Input{HomeDir: home, Environ: []string{tt.variable}})
		name, _, _ := strings.Cut(tt.variable, "=")
		want := config.Value{Key: tt.key, Value: tt.want, Origin: config.Origin("environment " + name)}

		if got := valueOf(t, c, tt.key); got != want {
			t.Errorf("%s: got %+v", tt.variable, got)
		}
	}
}

func TestEnvironmentThatCountsForNothing(t *testing.T) {
	c := mustLoad(t, config.Input{HomeDir: home, Environ: []string{
		"GUPPY_LOG_LEVEL=", "GUPPY_DATABASE_URL=", "GUPPY_TEST_POSTGRES_URL=x", "NOT_GUPPY=x", "guppy_x=y", "", "=", "X",
	}})
	for _, v := range c.Values() {
		if v.Origin != config.Default {
			t.Errorf("got %+v", v)
		}
	}
}

// TestServiceLinksAreNoSettings uses variables that Kubernetes sets in each container of a namespace with such
// Services.
func TestServiceLinksAreNoSettings(t *testing.T) {
	var environ []string
	for _, service := range []string{"GUPPY", "GUPPY_REPO", "GUPPY_GATEWAY_2"} {
		for _, address := range []string{"10.96.0.7", "fd00:10:96::7"} {
			inURL := address
			if strings.Contains(address, ":") {
				inURL = "[" + address + "]"
			}

			environ = append(environ, service+"_SERVICE_HOST="+address, service+"_SERVICE_PORT=5001",
				service+"_SERVICE_PORT_HTTP_2=5001", service+"_PORT=tcp://"+inURL+":5001",
				service+"_PORT_5001_TCP=tcp://"+inURL+":5001", service+"_PORT_5001_TCP_PROTO=tcp",
				service+"_PORT_5001_TCP_PORT=5001", service+"_PORT_5001_TCP_ADDR="+address,
				service+"_PORT_53_UDP=udp://"+inURL+":53", service+"_PORT_53_UDP_PROTO=udp")
		}
	}

	c := mustLoad(t, config.Input{HomeDir: home, Environ: append(environ, "GUPPY_REPO_PORT=5433")})

	for _, v := range c.Values() {
		if v.Key == "repo.port" && v.Value != "5433" || v.Key != "repo.port" && v.Origin != config.Default {
			t.Errorf("got %+v", v)
		}
	}
}

func TestWhatOnlyLooksLikeAServiceIsRefused(t *testing.T) {
	for _, variable := range []string{
		"GUPPY_SERVICE_HOST=database", "GUPPY_SERVICE_PORT=0", "GUPPY_SERVICE_PORT=70000", "GUPPY_PORT=5001",
		"GUPPY_PORT=tcp://host", "GUPPY_PORT_5001_TCP_PROTO=http", "GUPPY_PORT_5001=tcp://10.0.0.1:5001",
		"GUPPY_SERVICE=10.0.0.1", "GUPPY_SERVICE_HOSTS=10.0.0.1", "GUPPY_PORT_TCP_ADDR=10.0.0.1",
	} {
		name, _, _ := strings.Cut(variable, "=")
		assertMentions(t, mustFail(t, config.Input{HomeDir: home, Environ: []string{variable}}), name+": unknown variable")
	}
}

func TestFirstOfSeveralVariablesCounts(t *testing.T) {
	c := mustLoad(t, config.Input{HomeDir: home, Environ: []string{"GUPPY_LOG_LEVEL=warn", "GUPPY_LOG_LEVEL=loud"}})
	if c.Log.Level != "warn" {
		t.Errorf("got %q", c.Log.Level)
	}
}

func TestLongAndShortNames(t *testing.T) {
	c := mustLoad(t, config.Input{Environ: []string{"GUPPY_DATA_DIR=/d", "GUPPY_REPO_DATA_DIR=/d"}})
	if c.Repo.DataDir != "/d" {
		t.Errorf("got %q", c.Repo.DataDir)
	}

	c = mustLoad(t, config.Input{Environ: []string{"GUPPY_DATA_DIR=/d", "GUPPY_REPO_DATA_DIR="}})
	if c.Repo.DataDir != "/d" {
		t.Errorf("got %q", c.Repo.DataDir)
	}

	err := mustFail(t, config.Input{HomeDir: home, Environ: []string{
		"GUPPY_DATABASE_URL=postgres://u:hunter2@h/db", "GUPPY_REPO_DATABASE_URL=postgres://u:hunter3@h/db"}})
	assertMentions(t, err, "environment GUPPY_REPO_DATABASE_URL: repo.database_url: differs from GUPPY_DATABASE_URL")

	if strings.Contains(err.Error(), "hunter") {
		t.Error(err)
	}
}

func TestEnvironmentIsRefused(t *testing.T) {
	for _, tt := range []struct{ variable, want string }{
		{"GUPPY_PREPARE_WORKERS=4 ", `GUPPY_PREPARE_WORKERS: prepare.workers: "4 " is not allowed`},
		{"GUPPY_PREPARE_WORKERS=99999999999999999999", "want a whole number from 0 to 1024"},
		{"GUPPY_PREPARE_WORKERS=NaN", "want a whole number from 0 to 1024"},
		{"GUPPY_REPO_AUTO_MIGRATE=yes", "want true or false"},
		{"GUPPY_REPO_RETRY_FOR=30", "want a duration with its unit"},
		{"GUPPY_REPO_RETRY_FOR=-1s", "from 0s to 24h"},
		{"GUPPY_PREPARE_EXCLUDE=a,,b", "none of them empty"},
		{"GUPPY_DATABASE_TYPE=mysql", `repo.database_type: "mysql" is not allowed, want postgres, sqlite or ""`},
		{"GUPPY_LOG_LEVLE=x", "GUPPY_LOG_LEVLE: unknown variable; did you mean GUPPY_LOG_LEVEL?"},
		{"GUPPY_WORKERS=x", "did you mean GUPPY_PREPARE_WORKERS?"},
		{"GUPPY_DATABASEURL=x", "did you mean GUPPY_REPO_DATABASE_URL or GUPPY_DATABASE_URL?"},
		{"GUPPY_MAX_OPEN_CONN=x", "did you mean GUPPY_REPO_MAX_OPEN_CONNS?"},
		{"GUPPY_ZZZZZZZZZZZ=x", "GUPPY_ZZZZZZZZZZZ: unknown variable"},
		{"GUPPY_=x", "GUPPY_: unknown variable"},
		{"GUPPY_\x1b[31m=x", `environment "GUPPY_\x1b[31m": unknown variable`},
	} {
		err := mustFail(t, config.Input{HomeDir: home, Environ: []string{tt.variable}})
		assertMentions(t, err, "environment ", tt.want)
	}
}

func TestEnvironmentList(t *testing.T) {
	c := mustLoad(t, config.Input{HomeDir: home, Environ: []string{"GUPPY_PREPARE_EXCLUDE=*.tmp, .git/"}})
	if want := []string{"*.tmp", ".git/"}; !reflect.DeepEqual(c.Prepare.Exclude, want) {
		t.Errorf("got %q", c.Prepare.Exclude)
	}
}
