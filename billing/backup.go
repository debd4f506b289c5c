package billing

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	manifestName = "manifest.json"
	tableSuffix  = ".copy"
	sumSuffix    = ".sha256"
)

// Flush brings what the journal holds to the database. If a gateway runs on the folder it does so itself, and Flush waits for it.
func Flush(ctx context.Context, cfg Config) error {
	if _, err := os.Stat(cfg.Dir); errors.Is(err, os.ErrNotExist) {
		return nil // nothing was written here
	}
	cfg.mute = true
	s, err := Open(ctx, cfg)
	if errors.Is(err, ErrLocked) {
		return awaitProjection(ctx, cfg)
	}
	if err != nil {
		return err
	}
	err = s.Close(ctx)
	if n := s.Stats().Outbox; n > 0 && s.projector != nil {
		err = errors.Join(err, fmt.Errorf("%d events of the journal are not in the database: is it reachable?", n))
	}
	return err
}

// awaitProjection returns when the database holds what the journal has now.
func awaitProjection(ctx context.Context, cfg Config) error {
	cfg, err := cfg.defaults()
	if err != nil {
		return err
	}
	var last uint64
	w, err := walkDir(cfg.journalDir(), func(r record) error {
		if r.isEvent() {
			last = r.lsn
		}
		return nil
	})
	if err != nil || last == 0 {
		return err
	}
	r, err := OpenReader(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	if err := r.needs(); err != nil {
		return err
	}
	for {
		var held int64
		err := r.conn.QueryRow(ctx, `SELECT COALESCE(max(last_lsn), 0) FROM patchbay.ingest WHERE node_id = $1 AND journal = $2`, cfg.Node, w.journal).Scan(&held)
		if err == nil && uint64(held) >= last {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the gateway hasn't brought %d events to the database: %w", last-min(last, uint64(held)), errors.Join(err, ctx.Err()))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Backup writes the database's records to a file: a ZIP of a manifest and a file in COPY's text form for each table, as they were at
// one instant. The file appears whole or not at all; beside it stands its SHA-256.
func (r *Reader) Backup(ctx context.Context, path string) (*Manifest, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.needs(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err == nil {
		return nil, fmt.Errorf("%s is there already: choose another name, or move it away", path)
	}
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	var m *Manifest
	err = pgx.BeginTxFunc(ctx, r.conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		m, err = archive(ctx, tx, io.MultiWriter(f, h))
		return err
	})
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = writeFile(path+sumSuffix, fmt.Appendf(nil, "%s  %s\n", hex.EncodeToString(h.Sum(nil)), filepath.Base(path)))
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("backup: %w", err), os.Remove(tmp))
	}
	return m, syncDir(filepath.Dir(path))
}

func archive(ctx context.Context, tx pgx.Tx, w io.Writer) (*Manifest, error) {
	m, err := survey(ctx, tx)
	if err != nil {
		return nil, err
	}
	z := zip.NewWriter(w)
	for _, t := range m.Tables {
		e, err := z.CreateHeader(&zip.FileHeader{Name: t.Name + tableSuffix, Method: zip.Deflate, Modified: m.MadeAt})
		if err != nil {
			return nil, err
		}
		if err := send(ctx, tx, t, e); err != nil {
			return nil, err
		}
	}
	e, err := z.CreateHeader(&zip.FileHeader{Name: manifestName, Method: zip.Deflate, Modified: m.MadeAt})
	if err != nil {
		return nil, err
	}
	if err := json.NewEncoder(e).Encode(m); err != nil {
		return nil, err
	}
	return m, z.Close()
}

// ReadBackup checks a backup's file against the SHA-256 beside it, and returns what is in it.
func ReadBackup(path string) (*Manifest, error) {
	want, err := os.ReadFile(path + sumSuffix)
	if err != nil {
		return nil, fmt.Errorf("the backup's checksum: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if word, _, _ := strings.Cut(string(want), " "); word != hex.EncodeToString(h.Sum(nil)) {
		return nil, fmt.Errorf("%s isn't what was backed up: its SHA-256 is %x, that in %s is %s", path, h.Sum(nil), path+sumSuffix, word)
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, fmt.Errorf("%s: not a backup of patchbay: %w", path, err)
	}
	defer func() { _ = z.Close() }()
	e, err := z.Open(manifestName)
	if err != nil {
		return nil, fmt.Errorf("%s: not a backup of patchbay: %w", path, err)
	}
	var m Manifest
	err = json.NewDecoder(e).Decode(&m)
	if err = errors.Join(err, e.Close()); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", path, manifestName, err)
	}
	if m.Format != archiveFormat {
		return nil, fmt.Errorf("%s has format %d, this program knows %d", path, m.Format, archiveFormat)
	}
	return &m, nil
}

// Restore fills an empty database from a backup, and checks that it then has what the backup's manifest says. With force what is there is
// put aside until all is well, and then removed.
func (r *Reader) Restore(ctx context.Context, path string, force bool) (*Manifest, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.needs(); err != nil {
		return nil, err
	}
	m, err := ReadBackup(path)
	if err != nil {
		return nil, err
	}
	full, err := hasRecords(ctx, r.conn)
	if err != nil {
		return nil, err
	}
	if full && !force {
		return nil, ErrNotEmpty
	}
	if err := r.alone(ctx); err != nil {
		return nil, err
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = z.Close() }()
	return m, fillFrom(ctx, r.conn, m, force, func(t CopiedTable) (io.ReadCloser, error) { return z.Open(t.Name + tableSuffix) })
}

// fillFrom makes the schema, fills it, and brings it to this program's version.
func fillFrom(ctx context.Context, conn *pgx.Conn, m *Manifest, force bool, open func(CopiedTable) (io.ReadCloser, error)) error {
	undo, done, err := vacate(ctx, conn, m.Schema, force)
	if err != nil {
		return err
	}
	if err := accept(ctx, conn, m, open); err != nil {
		return errors.Join(err, undo(context.WithoutCancel(ctx)))
	}
	if err := done(ctx); err != nil {
		return err
	}
	return migrate(ctx, conn.Config(), conn)
}

// alone returns an error if a gateway is connected.
func (r *Reader) alone(ctx context.Context) error {
	var n int
	err := r.conn.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1 AND pid <> pg_backend_pid()`, writerName).Scan(&n)
	if err == nil && n > 0 {
		err = errors.New("a gateway is connected to this database: stop it first")
	}
	return err
}
