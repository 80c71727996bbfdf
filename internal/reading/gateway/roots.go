package gateway

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Root is the root of an upload's content.
type Root struct {
	CID    string    `json:"root_cid"`    // CID of the root
	Space  string    `json:"space"`       // name of the space
	Source string    `json:"source"`      // name of the source
	Files  int64     `json:"file_count"`  // number of files
	Bytes  int64     `json:"bytes"`       // length of the files
	Time   time.Time `json:"finished_at"` // when the upload was completed
}

// Path returns the path at which the gateway serves the root.
func (r Root) Path() string { return "/ipfs/" + r.CID + "/" }

// Roots lists all roots, the latest first.
type Roots func(ctx context.Context) ([]Root, error)

//go:embed roots.html
var files embed.FS

var page = template.Must(template.ParseFS(files, "roots.html"))

const rootsPolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; " +
	"frame-ancestors 'none'"

// rootsPage lists the roots, as HTML for people and as JSON for programs.
type rootsPage struct {
	roots Roots
	log   *slog.Logger
}

func (p rootsPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	roots, err := p.roots(r.Context())
	if err != nil {
		// A client that has gone is no reason to warn.
		if r.Context().Err() == nil {
			p.log.Warn("can't list the roots", "error", err)
		}
		http.Error(w, "the list of roots can't be read now", http.StatusServiceUnavailable)
		return
	}

	// The list is printed into memory first, so that an error can still become a status.
	var body bytes.Buffer
	contentType := "text/html; charset=utf-8"

	if wantsJSON(r) {
		contentType = "application/json"
		err = json.NewEncoder(&body).Encode(map[string]any{"roots": append([]Root{}, roots...)})
	} else {
		err = page.Execute(&body, roots)
	}

	if err != nil {
		p.log.Warn("can't print the roots", "error", err)
		http.Error(w, "the list of roots can't be printed", http.StatusInternalServerError)
		return
	}

	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Vary", "Accept")
	w.Header().Set("Content-Security-Policy", rootsPolicy)
	_, _ = w.Write(body.Bytes()) // the client may be gone
}

func wantsJSON(r *http.Request) bool {
	return r.URL.Query().Get("format") == "json" || strings.Contains(r.Header.Get("Accept"), "application/json")
}
