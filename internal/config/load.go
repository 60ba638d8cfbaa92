package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Load reads the first of some files that is there, and returns its path. If none
// is, the configuration is [Default] and the path is "": a router needs no file. A
// file that was asked for and is missing is for the caller to tell.
func Load(paths ...string) (c *Config, path string, warnings []*Problem, err error) {
	for _, path := range paths {
		text, err := read(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, path, nil, fmt.Errorf("config: %w", err)
		}
		c, warnings, err := Parse(path, text)
		return c, path, warnings, err
	}
	return Default(), "", nil, nil
}

// read reads no more of a file than tells that it is too long.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}
