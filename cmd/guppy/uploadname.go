package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/reading/tree"
	"github.com/guppy-prep/guppy/sqlrepo"
)

// uploadHelp says how commands that take an UPLOAD are told which one.
const uploadHelp = `UPLOAD is the number of an upload, SPACE/NUMBER, SPACE/latest or SPACE (the
latest complete upload of a space, given by name or DID), or the CID of a root
(the latest complete upload that has it).`

// uploadOrSpaceHelp is uploadHelp for commands that take a SPACE as all its uploads.
const uploadOrSpaceHelp = `UPLOAD is the number of an upload, SPACE/NUMBER, SPACE/latest (the latest
complete upload of a space), or the CID of a root (the latest complete upload
that has it). SPACE is the name or DID of a space.`

// pathHelp says how commands that read content are told which.
const pathHelp = `A path begins with an upload or with any CID: NUMBER/path, SPACE/NUMBER/path,
SPACE/latest/path (the latest complete upload), CID/path, /ipfs/CID/path or
ipfs://CID/path (percent-encoded). If the names of several spaces fit, the
longest does. Symlinks on the way are followed inside the root. A symlink at the
end is not followed.`

// contentHelp is pathHelp for commands that take a SPACE as its latest upload.
const contentHelp = pathHelp + `

SPACE alone stands for SPACE/latest.`

// latestUpload stands behind the name of a space for its latest complete upload.
const latestUpload = "latest"

// uploadForms are the forms of the name of an upload, for errors.
const uploadForms = "an upload is named by NUMBER, SPACE, SPACE/latest, SPACE/NUMBER or the CID of its root, and " +
	"what is in it by /path behind a form other than SPACE: guppy upload ls lists all uploads"

// uploadName is a parsed name of an upload, or of content.
type uploadName struct {
	text string
	// content is what a CID, and a path behind it, name. It is only set if the text begins with a CID.
	content *tree.Path
	// space is set if the text begins with the name or the DID of a space.
	space *sqlrepo.Space
	// number is the number of an upload. It is 0 for the latest one of a space.
	number int64
	// alone is true for a space with nothing behind it.
	alone bool
	// path is what follows the upload.
	path string
}

// parseUploadName parses a text that begins with the CID of a root, the name of one of the spaces, or the number of an
// upload. A CID comes first, then a number with nothing behind it, then the longest name of a space. A space whose name
// is a number can only be named by its DID. parseUploadName returns sqlrepo.ErrNotFound if the text begins with none of
// them, and errUsage for a text that begins well and goes on badly.
func parseUploadName(text string, spaces []sqlrepo.Space) (uploadName, error) {
	if path, err := tree.ParsePath(text); err == nil {
		return uploadName{text: text, content: &path}, nil
	} else if strings.HasPrefix(text, "/ipfs/") || strings.HasPrefix(strings.ToLower(text), "ipfs://") {
		return uploadName{}, fmt.Errorf("%w: %w", errUsage, err)
	}

	first, path, _ := strings.Cut(text, "/")
	if isNumber(first) && strings.Trim(path, "/") == "" {
		number, err := parseNumber(first)
		return uploadName{text: text, number: number}, err
	}

	if space := longestSpace(text, spaces); space != "" {
		return parseInSpace(text, space, spaces)
	}

	if isNumber(first) {
		number, err := parseNumber(first)
		return uploadName{text: text, number: number, path: path}, err
	}
	return uploadName{}, fmt.Errorf("%q is neither an upload nor a space: %w%s", text, sqlrepo.ErrNotFound,
		suggested(first, namesOf(spaces, spaceName), uploadForms))
}

// parseInSpace parses a text that begins with a name of a space.
func parseInSpace(text, name string, spaces []sqlrepo.Space) (uploadName, error) {
	parsed := uploadName{text: text}
	for i := range spaces {
		if spaces[i].Name == name || string(spaces[i].DID) == name {
			parsed.space = &spaces[i]
		}
	}

	rest := strings.Trim(text[len(name):], "/")
	upload, path, _ := strings.Cut(rest, "/")
	parsed.path = path

	var err error
	switch {
	case rest == "":
		parsed.alone = true
	case isNumber(upload):
		parsed.number, err = parseNumber(upload)
	case upload != latestUpload:
		suggestion := config.DidYouMean(parsed.space.Name+"/", upload, []string{latestUpload})
		err = fmt.Errorf("%w: %q in %q is not an upload of space %q%s", errUsage, upload, text, parsed.space.Name,
			cmp.Or(suggestion, ": "+uploadForms))
	}
	return parsed, err
}

// longestSpace returns the longest name or DID of a space with which the text begins, or "". What is behind the name
// begins with a slash. A number is not taken for the name of a space.
func longestSpace(text string, spaces []sqlrepo.Space) (longest string) {
	for _, space := range spaces {
		for _, name := range []string{space.Name, string(space.DID)} {
			rest, begins := strings.CutPrefix(text, name)
			fits := begins && (rest == "" || rest[0] == '/') && !isNumber(name)
			if fits && len(name) > len(longest) {
				longest = name
			}
		}
	}
	return longest
}

func isNumber(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

func parseNumber(text string) (int64, error) {
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("upload %s: %w", text, sqlrepo.ErrNotFound)
	}
	if number == 0 {
		return 0, fmt.Errorf("%w: there is no upload 0: uploads are numbered from 1", errUsage)
	}
	return number, nil
}

// nameUpload parses the name of an upload, or of content, with the spaces of the repository.
func nameUpload(ctx context.Context, repo *repository, text string) (uploadName, error) {
	// Most names need no spaces.
	if name, err := parseUploadName(text, nil); err == nil && name.path == "" {
		return name, nil
	}

	spaces, err := repo.Spaces(ctx)
	if err != nil {
		return uploadName{}, err
	}
	return parseUploadName(text, spaces)
}

// findUpload returns the number of the upload that a text names. It returns sqlrepo.ErrNotFound if no upload has
// it, and errUsage for the name of something in an upload.
func findUpload(ctx context.Context, repo *repository, text string) (int64, error) {
	name, err := nameUpload(ctx, repo, text)
	if err != nil {
		return 0, err
	}
	return name.upload(ctx, repo)
}

// upload returns the number of the upload that is named.
func (n uploadName) upload(ctx context.Context, repo *repository) (int64, error) {
	if strings.Trim(n.path, "/") != "" || n.content != nil && len(n.content.Names) > 0 {
		return 0, fmt.Errorf("%w: %q is the name of something in an upload, not of an upload", errUsage, n.text)
	}
	if n.content != nil {
		return uploadWithRoot(ctx, repo, n.content.Root)
	}
	return n.key(ctx, repo)
}

// key returns the number of an upload that is named by its number, or by its space.
func (n uploadName) key(ctx context.Context, repo *repository) (int64, error) {
	switch {
	case n.number == 0:
		latest, err := repo.LatestUpload(ctx, n.space.ID)
		if errors.Is(err, sqlrepo.ErrNotFound) {
			err = fmt.Errorf("complete upload of space %q: %w: guppy upload ls %s lists its uploads", n.space.Name,
				sqlrepo.ErrNotFound, arguments(n.space.Name))
		}
		return latest, err
	case n.space == nil:
		// The row may be damaged, so nothing else of it is read.
		_, err := repo.UploadState(ctx, n.number)
		if errors.Is(err, sqlrepo.ErrNotFound) {
			err = fmt.Errorf("upload %d: %w: guppy upload ls lists all uploads", n.number, sqlrepo.ErrNotFound)
		}
		return n.number, err
	}

	space, err := repo.SpaceOf(ctx, n.number)
	if errors.Is(err, sqlrepo.ErrNotFound) || err == nil && space != n.space.ID {
		err = fmt.Errorf("upload %d in space %q: %w: guppy upload ls %s lists its uploads", n.number, n.space.Name,
			sqlrepo.ErrNotFound, arguments(n.space.Name))
	}
	return n.number, err
}

// uploadWithRoot returns the number of the latest complete upload with a root.
func uploadWithRoot(ctx context.Context, repo *repository, root cid.Cid) (int64, error) {
	uploads, err := repo.UploadsWithRoot(ctx, sqlrepo.CID{Cid: root})
	if err != nil {
		return 0, err
	}
	for _, upload := range uploads {
		if upload.State == sqlrepo.Complete {
			return upload.ID, nil
		}
	}
	return 0, fmt.Errorf("complete upload with the root %s: %w: guppy upload ls lists the roots of all uploads", root,
		sqlrepo.ErrNotFound)
}

// completeUpload returns an upload by its number. It returns an error for one that is not complete, and so has no whole
// tree, which says what complete uploads can be: "compared".
func completeUpload(ctx context.Context, repo *repository, key int64, use string) (sqlrepo.Upload, error) {
	upload, err := repo.Upload(ctx, key)
	if err == nil && upload.State != sqlrepo.Complete {
		err = fmt.Errorf("upload %d is %s: only complete uploads can be %s: guppy upload show %d shows what is known of it",
			key, upload.State, use, key)
	}
	return upload, err
}

// content is what a command reads: a path below a root.
type content struct {
	tree.Path
	// upload is the upload that was named, or else the latest one that has the root. It is nil if no upload has it.
	upload *sqlrepo.Upload
	// name is a name that still means the same content when there are more uploads.
	name string
}

// findContent returns what a text names. A CID may be that of any block. An upload has to have a root.
func findContent(ctx context.Context, repo *repository, text string) (content, error) {
	name, err := nameUpload(ctx, repo, text)
	if err != nil {
		return content{}, err
	}
	return name.findContent(ctx, repo)
}

func (n uploadName) findContent(ctx context.Context, repo *repository) (content, error) {
	if n.content != nil {
		uploads, err := repo.UploadsWithRoot(ctx, sqlrepo.CID{Cid: n.content.Root})
		found := content{Path: *n.content, name: n.text}
		if len(uploads) > 0 {
			found.upload = &uploads[0]
		}
		return found, err
	}

	key, err := n.key(ctx, repo)
	if err != nil {
		return content{}, err
	}

	upload, err := repo.Upload(ctx, key)
	if err != nil {
		return content{}, err
	}
	if upload.State == sqlrepo.Removed || !upload.RootCID.Defined() {
		return content{}, fmt.Errorf("upload %d is %s: it has no root to read from", key, upload.State)
	}

	path, err := tree.ParsePath(upload.RootCID.String() + "/" + n.path)
	return content{path, &upload, strings.TrimSuffix(fmt.Sprintf("%d/%s", key, n.path), "/")}, err
}
