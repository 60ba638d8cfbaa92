// Package schematest holds JSON documents against their schemas, in tests.
package schematest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"mbone/report"
	"mbone/schema"
)

// base is where the compiler believes the files to be, so that it finds those
// that they refer to.
const base = "file:///schema/"

// compiler knows all schemas and reads nothing else.
var compiler = sync.OnceValues(func() (*jsonschema.Compiler, error) {
	c := jsonschema.NewCompiler()
	c.UseLoader(jsonschema.SchemeURLLoader{})
	c.AssertFormat()
	err := fs.WalkDir(schema.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := schema.Files.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		text, err := jsonschema.UnmarshalJSON(f)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return c.AddResource(base+name, text)
	})
	if err != nil {
		return nil, err
	}
	return c, nil
})

// lock keeps the compiler to one goroutine.
var lock sync.Mutex

// Compile returns the schema in a file, whose own form is verified.
func Compile(file string) (*jsonschema.Schema, error) {
	lock.Lock()
	defer lock.Unlock()
	c, err := compiler()
	if err != nil {
		return nil, err
	}
	return c.Compile(base + file)
}

// Read returns the documents that make up a text: one, or one a line. It is an
// error if one of them is not as the schema says that it names, or if there is anything
// else.
func Read[T any](text []byte) ([]T, error) {
	var documents []T
	dec := json.NewDecoder(bytes.NewReader(text))
	for {
		var raw json.RawMessage
		switch err := dec.Decode(&raw); {
		case errors.Is(err, io.EOF):
			return documents, nil
		case err != nil:
			return nil, fmt.Errorf("%w in\n%s", err, text)
		}
		if err := validate(raw); err != nil {
			return nil, fmt.Errorf("%w in\n%s", err, raw)
		}
		var document T
		if err := json.Unmarshal(raw, &document); err != nil {
			return nil, fmt.Errorf("%w in\n%s", err, raw)
		}
		documents = append(documents, document)
	}
}

// One is [Read] of exactly one document.
func One[T any](text []byte) (document T, err error) {
	documents, err := Read[T](text)
	if err == nil && len(documents) != 1 {
		err = fmt.Errorf("%d documents in\n%s", len(documents), text)
	}
	if err != nil {
		return document, err
	}
	return documents[0], nil
}

// validate holds a document against the schema that it names.
func validate(document []byte) error {
	var head report.Document
	if err := json.Unmarshal(document, &head); err != nil {
		return err
	}
	s, err := Compile(schema.File(head.Schema))
	if err != nil {
		return fmt.Errorf("schema %q: %w", head.Schema, err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return err
	}
	return s.Validate(value)
}
