package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"

	"github.com/spf13/cobra"

	"github.com/guppy-prep/guppy/internal/config"
	"github.com/guppy-prep/guppy/internal/reading/blocks"
	"github.com/guppy-prep/guppy/internal/reading/gateway"
	"github.com/guppy-prep/guppy/sqlrepo"
)

const serveHelp = `Serve answers HTTP requests for prepared content, as a read-only IPFS gateway:
files and directory pages under /ipfs/ROOT/path, raw blocks and CARs on request
(?format=raw, ?format=car, or an Accept header), and a list of the roots at /.
It queries the repository for each request, so blocks of an unfinished upload
are served as soon as their shard is sealed. It fetches no blocks from
elsewhere, and resolves no names.

Everybody who can reach the address can read all prepared content. By default
only this host can.`

func (a *app) serveCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "serve", Short: "Serve prepared content over HTTP, as an IPFS gateway", Long: serveHelp,
		Args: usageArgs(cobra.NoArgs),
		RunE: a.readingCommand(func(ctx context.Context, cfg *config.Config, repo *repository, _ []string) error {
			return a.withBlocks(ctx, cfg, repo, func(from *blocks.Source) error { return a.serve(ctx, cfg, repo, from) })
		}),
	}

	flags := command.Flags()
	flags.SortFlags = false
	flags.String("listen", "", "listen at `HOST:PORT` (default 127.0.0.1:8080); port 0 takes any free port")
	addShardFlags(flags)

	return command
}

// serve serves until it is interrupted, which is its normal end.
func (a *app) serve(ctx context.Context, cfg *config.Config, repo *repository, from gateway.Blocks) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Serve.Listen)
	if err != nil {
		return fmt.Errorf("%s: %w", cfg.Origin("serve.listen"), err)
	}
	defer listener.Close() //nolint:errcheck // serving has closed it

	loopback := listener.Addr().(*net.TCPAddr).IP.IsLoopback()
	if !loopback {
		a.log.Warn("other hosts can read all prepared content", "listening", listener.Addr().String())
	}

	roots := func(ctx context.Context) ([]gateway.Root, error) { return listRoots(ctx, repo) }
	handler, err := gateway.NewHandler(from, roots, gateway.Options{
		MaxRequests: cfg.Serve.MaxRequests, Timeout: cfg.Serve.Timeout, LocalNames: loopback, Log: a.log,
	})
	if err != nil {
		return err
	}

	if err := a.announce(ctx, "http://"+listener.Addr().String(), roots); err != nil {
		return err
	}
	return gateway.Serve(ctx, listener, handler, a.log)
}

// served is what serve prints when it begins.
type served struct {
	URL   string       `json:"url"`   // where the gateway is
	Roots []servedRoot `json:"roots"` // roots of complete uploads, the latest first
}

// servedRoot is a root that the gateway serves.
type servedRoot struct {
	URL string `json:"url"` // where the root is served
	gateway.Root
}

// announce prints the URLs of all roots.
func (a *app) announce(ctx context.Context, url string, list gateway.Roots) error {
	roots, err := list(ctx)
	if err != nil {
		return err
	}
	view := served{URL: url + "/", Roots: []servedRoot{}}
	for _, root := range roots {
		view.Roots = append(view.Roots, servedRoot{url + root.Path(), root})
	}
	return a.print(view, view.text)
}

func (s served) text(w io.Writer) {
	fmt.Fprintf(w, "serving   %s\n", s.URL)
	for _, root := range s.Roots[:min(len(s.Roots), listed)] {
		fmt.Fprintf(w, "  %s  %s  %s\n", root.URL, printable(root.Space), printable(root.Source))
	}
	printMore(w, len(s.Roots), "guppy upload ls")
}

// listRoots lists the roots of all complete uploads, the latest first.
func listRoots(ctx context.Context, repo *repository) (roots []gateway.Root, err error) {
	spaces, err := repo.Spaces(ctx)
	if err != nil {
		return nil, err
	}

	names := map[int64]string{}
	for _, space := range spaces {
		uploads, err := repo.Uploads(ctx, sqlrepo.UploadFilter{Space: &space.ID})
		if err != nil {
			return nil, err
		}

		for _, upload := range uploads {
			if upload.State != sqlrepo.Complete {
				continue
			}

			if _, known := names[upload.Source]; !known {
				source, err := repo.Source(ctx, upload.Source)
				if err != nil {
					return nil, err
				}
				names[upload.Source] = source.Name
			}

			roots = append(roots, gateway.Root{
				CID: upload.RootCID.String(), Space: space.Name, Source: names[upload.Source], Files: upload.Files,
				Bytes: upload.Bytes, Time: upload.FinishedAt.Time,
			})
		}
	}

	slices.SortStableFunc(roots, func(a, b gateway.Root) int { return b.Time.Compare(a.Time) })
	return roots, nil
}
