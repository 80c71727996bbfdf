package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/guppy-prep/guppy/sqlrepo"
)

const nameTestCID = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxqudxam"

// TestParseUploadName parses names in a repository with spaces whose names are parts of each other, or look like other
// names.
func TestParseUploadName(t *testing.T) {
	var spaces []sqlrepo.Space
	for i, name := range []string{"a", "a/b", "a/b/latest", "7", "2024/x", "with space"} {
		did := fmt.Sprintf("did:key:z%d", i+1)
		spaces = append(spaces, sqlrepo.Space{ID: int64(i + 1), DID: sqlrepo.DID(did), Name: name})
	}

	for text, want := range map[string]string{
		"7":                              "upload 7",
		"007":                            "upload 7",
		"7/":                             "upload 7",
		"7/x//y":                         "upload 7 at x//y",
		"2024/y":                         "upload 2024 at y",
		"2024/x":                         "space 2024/x alone",
		"2024/x/3/y":                     "space 2024/x upload 3 at y",
		"a":                              "space a alone",
		"a/":                             "space a alone",
		"a//latest":                      "space a latest",
		"a/latest/":                      "space a latest",
		"a/latest/b/latest":              "space a latest at b/latest",
		"a/12":                           "space a upload 12",
		"a/12/34":                        "space a upload 12 at 34",
		"a/b":                            "space a/b alone",
		"a/b/3/x":                        "space a/b upload 3 at x",
		"a/b/latest":                     "space a/b/latest alone",
		"a/b/latest/latest/x":            "space a/b/latest latest at x",
		"with space/latest":              "space with space latest",
		"did:key:z4":                     "space 7 alone",
		"did:key:z4/latest/x":            "space 7 latest at x",
		nameTestCID:                      "content " + nameTestCID,
		nameTestCID + "/x/.":             "content " + nameTestCID + "/x",
		"/ipfs/" + nameTestCID + "/":     "content " + nameTestCID,
		"ipfs://" + nameTestCID + "/%41": "content " + nameTestCID + "/A",
	} {
		got, err := parseUploadName(text, spaces)
		if err != nil || describeName(got) != want {
			t.Errorf("%q: %s, %v; want %s", text, describeName(got), err, want)
		}
	}

	for text, want := range map[string]error{
		"":                               sqlrepo.ErrNotFound,
		"/":                              sqlrepo.ErrNotFound,
		"b":                              sqlrepo.ErrNotFound,
		"latest":                         sqlrepo.ErrNotFound,
		"ab/latest":                      sqlrepo.ErrNotFound,
		"did:key:z9/latest":              sqlrepo.ErrNotFound,
		"-1":                             sqlrepo.ErrNotFound,
		"99999999999999999999":           sqlrepo.ErrNotFound,
		"a/x":                            errUsage,
		"a/b/x":                          errUsage,
		"a/Latest":                       errUsage,
		"0":                              errUsage,
		"a/0":                            errUsage,
		"/ipfs/a":                        errUsage,
		"IPFS://a":                       errUsage,
		"ipfs://" + nameTestCID + "/a?b": errUsage,
	} {
		if got, err := parseUploadName(text, spaces); !errors.Is(err, want) {
			t.Errorf("%q: %s, %v; want %v", text, describeName(got), err, want)
		}
	}
}

// describeName describes a parsed name in words.
func describeName(name uploadName) string {
	text := ""
	if name.content != nil {
		return "content " + name.content.String()
	}
	if name.space != nil {
		text = "space " + name.space.Name + " "
	}

	switch {
	case name.alone:
		text += "alone"
	case name.number == 0:
		text += latestUpload
	default:
		text += fmt.Sprintf("upload %d", name.number)
	}

	if name.path != "" {
		text += " at " + name.path
	}
	return text
}
