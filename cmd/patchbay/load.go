package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
)

// loadConfig reads and checks the settings. Without a file they are the defaults and the demo. dir, if not empty, goes
// before node.data. The error is Mistakes when the file is wrong: all of them, each with its line.
func loadConfig(path, dir string) (Config, error) {
	if path == "" {
		c := defaults()
		c.Demo = true
		return finish(c, dir)
	}
	c, d, err := readConfig(path, os.LookupEnv)
	if err != nil {
		return Config{}, err
	}
	if m := d.wrong(); len(m) > 0 {
		return Config{}, m
	}
	return finish(c, dir)
}

// finish adds what no file says: the demo, and what one setting takes from another.
func finish(c Config, dir string) (Config, error) {
	if dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return Config{}, fmt.Errorf("data folder %q: %w", dir, err)
		}
		c.Node.Data = abs
	}
	if c.Node.Data == "" {
		return Config{}, errors.New("node.data is empty and there is no home folder: expected a data folder, by --data or in the settings")
	}
	if c.Demo {
		if err := addDemo(&c); err != nil {
			return Config{}, err
		}
	}
	c.complete()
	for i := range c.Trunks {
		if t := &c.Trunks[i]; t.Mode == "carrier" {
			pw, err := demoPassword(c.Node.Data, t.User)
			if err != nil {
				return Config{}, err
			}
			t.Password = pw
		}
	}
	return c, nil
}

// readConfig reads and validates a file. The document holds every mistake; the error is of the file itself.
func readConfig(path string, env func(string) (string, bool)) (Config, *document, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		var p *os.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return Config{}, nil, fmt.Errorf("settings %s: %w", path, err)
	}
	c, d := parseConfig(path, b, env)
	return c, d, nil
}

// parseConfig reads and validates the bytes of a file.
func parseConfig(path string, b []byte, env func(string) (string, bool)) (Config, *document) {
	d := &document{file: path, dir: filepath.Dir(path), env: env, places: map[string]place{}}
	c := defaults()
	if n := d.parse(b); n != nil {
		d.decode(n, reflect.ValueOf(&c).Elem(), "", 0)
	}
	d.validate(&c)
	return c, d
}

// wrong are the mistakes that keep the settings from being used, in the order of the file.
func (d *document) wrong() Mistakes {
	var m Mistakes
	for _, x := range d.mistakes {
		if !x.Warning {
			m = append(m, x)
		}
	}
	return sorted(m)
}
