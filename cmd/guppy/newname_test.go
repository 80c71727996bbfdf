package main

import (
	"errors"
	"strings"
	"testing"
)

func TestNamesOfSpacesAreNoNamesOfUploads(t *testing.T) {
	for _, name := range []string{"photos", "a/b", "2024-05", "v7", "photos-latest", "with space", "bafy", "Qm", "-1",
		"7.5"} {
		if err := checkSpaceName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}

	for name, why := range map[string]string{
		"7":                     `"7" is the number of an upload`,
		"2024/photos":           `"2024" is the number of an upload`,
		"photos/007":            `"007" is the number of an upload`,
		"latest":                `"latest" is the latest upload of a space`,
		"photos/Latest":         `"Latest" is the latest upload of a space`,
		nameTestCID:             "is a CID",
		"ipfs://" + nameTestCID: "is a CID",
		"":                      "1 to 255",
		"did:key:x":             "no DID",
		"a\nb":                  "printable",
	} {
		if err := checkSpaceName(name); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want %s", name, err, why)
		}
	}
}

func TestNamesOfSourcesComeFromTheirPaths(t *testing.T) {
	for path, want := range map[string]string{
		"/photos": "photos", "/photos/2024": "source-2024", "/latest": "source-latest", "/": "/",
		"/x/" + nameTestCID: "source-" + nameTestCID,
	} {
		if got := sourceName(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
