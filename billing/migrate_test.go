package billing

import (
	"context"
	"io/fs"
	"testing"
	"testing/fstest"
)

// A migration whose number is less than one that a database has seen comes to it all the same, once, and a program that doesn't have it
// takes no offence.
func TestMigrationThatComesLate(t *testing.T) {
	t.Parallel()
	ctx, conn := context.Background(), dial(t, database(t))
	all, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	late := fstest.MapFS{"00025_late.sql": {Data: []byte("-- +goose Up\nCREATE TABLE patchbay.late (n integer);\nINSERT INTO patchbay.late VALUES (1);\n")}}
	names, err := fs.Glob(all, "*.sql")
	if err != nil || len(names) < 6 {
		t.Fatal(names, err)
	}
	for _, n := range names {
		b, err := fs.ReadFile(all, n)
		if err != nil {
			t.Fatal(err)
		}
		late[n] = &fstest.MapFile{Data: b}
	}
	if err := migrate(ctx, conn.Config(), conn); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := migrateBy(ctx, conn.Config(), conn, late, 0); err != nil {
			t.Fatal(err)
		}
	}
	var n int
	if err := conn.QueryRow(ctx, `SELECT count(*) FROM patchbay.late`).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d rows, %v, expected one", n, err)
	}
	if err := migrate(ctx, conn.Config(), conn); err != nil {
		t.Errorf("a program without it: %v", err)
	}
}
