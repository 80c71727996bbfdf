package source

import (
	"slices"
	"strings"
	"testing"
)

const mountLines = `26 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 26 0:40 / /nas rw shared:5 master:1 - nfs4 nas:/photos rw,vers=4.2
31 30 0:41 / /nas/with\040blank rw - cifs //nas/share rw
32 30 0:42 / /nas/auto rw - autofs systemd-1 rw
33 32 0:43 / /nas/auto rw - nfs4 nas:/auto rw
34 33 0:44 /deep /nas/auto/deep rw - nfs4 nas:/more rw
35 30 0:45 / /nas/idle rw - autofs systemd-1 rw
36 30 0:46 / /nas/covered/below rw - tmpfs below rw
37 30 0:47 / /nas/covered rw - tmpfs above rw
38 26 0:48 / /nasty rw - tmpfs  rw
42 30 0:52 / /nas/names rw - autofs auto.names rw
43 42 0:53 / /nas/names/one rw - nfs4 nas:/one rw
no mount at all
39 26 0:49
40 26 0:50 / /twice rw - tmpfs first rw
41 40 0:51 / /twice rw - tmpfs second rw
`

func TestParseMounts(t *testing.T) {
	table, err := parseMounts(strings.NewReader(mountLines))
	if err != nil {
		t.Fatal(err)
	}

	if len(table) != 14 {
		t.Fatalf("%d mounts", len(table))
	}

	want := mount{id: 31, parent: 30, device: "0:41", root: "/", point: "/nas/with blank", kind: "cifs",
		origin: "//nas/share", options: "rw"}
	if table[2] != want {
		t.Errorf("got %+v", table[2])
	}

	if unnamed := table[9]; unnamed.kind != "tmpfs" || unnamed.origin != "" {
		t.Errorf("got %+v", unnamed)
	}
}

func TestMountsAreFound(t *testing.T) {
	table, err := parseMounts(strings.NewReader(mountLines))
	if err != nil {
		t.Fatal(err)
	}

	for path, want := range map[string]uint64{
		"/": 26, "/nas": 30, "/nas/x": 30, "/nasty/x": 38, "/nast": 26, "/twice/a": 41, "/nas/auto/a": 33,
	} {
		if found, ok := table.find(0, path); !ok || found.id != want {
			t.Errorf("%s: got %d, want %d", path, found.id, want)
		}
	}

	if found, ok := table.find(40, "/twice"); !ok || found.origin != "first" {
		t.Errorf("got %+v", found)
	}
	if _, ok := table.find(99, "/"); ok {
		t.Error("there is no mount 99")
	}
}

func TestMountsBelow(t *testing.T) {
	table, err := parseMounts(strings.NewReader(mountLines))
	if err != nil {
		t.Fatal(err)
	}

	nas, _ := table.find(30, "/nas")
	var points []string
	for _, m := range table.below(nas, "/nas") {
		automatic := strings.HasSuffix(m.point, "/auto") || strings.HasSuffix(m.point, "/one")
		if m.automatic != automatic {
			t.Errorf("%s: automatic is %t", m.point, m.automatic)
		}
		points = append(points, m.point+" "+m.origin)
	}

	want := []string{"/nas/auto nas:/auto", "/nas/auto/deep nas:/more", "/nas/covered above", "/nas/names/one nas:/one",
		"/nas/with blank //nas/share"}
	if !slices.Equal(points, want) {
		t.Errorf("got %q", points)
	}

	if found := table.below(nas, "/nas/auto/deep/er"); len(found) > 0 {
		t.Errorf("got %v", found)
	}

	described := mount{root: "/sub", point: "/nas"}.describe("/nas/a/b")
	if described.Inner != "/sub/a/b" {
		t.Errorf("got %+v", described)
	}
}
