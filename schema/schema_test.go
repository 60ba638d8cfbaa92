package schema_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mbone/proto/dvmrp"
	"mbone/proto/mtrace"
	"mbone/report"
	"mbone/schema"
	"mbone/schema/schematest"
)

// documents are the schemas of documents with their Go types, and how they call
// themselves.
var documents = []struct {
	name    string
	version int
	typ     reflect.Type
}{
	{report.RoutersSchema, report.RoutersVersion, reflect.TypeFor[report.Routers]()},
	{report.PathSchema, report.PathVersion, reflect.TypeFor[report.Path]()},
	{report.StatsSchema, report.StatsVersion, reflect.TypeFor[report.Path]()},
	{report.MapSchema, report.MapVersion, reflect.TypeFor[report.Map]()},
}

// object is a JSON object of a schema.
type object = map[string]any

// node is a place in a schema: references are relative to its file.
type node struct {
	file string
	object
}

var files = make(map[string]object)

// load returns the root of a schema.
func load(t *testing.T, file string) node {
	t.Helper()
	if files[file] == nil {
		b, err := fs.ReadFile(schema.Files, file)
		if err != nil {
			t.Fatal(err)
		}
		var root object
		if err := json.Unmarshal(b, &root); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		files[file] = root
	}
	return node{file, files[file]}
}

// key returns what stands below keys that lead through objects.
func (n node) key(keys ...string) node {
	for _, k := range keys {
		inner, _ := n.object[k].(object)
		n.object = inner
	}
	return n
}

// list returns the strings of an array.
func (n node) list(key string) []string {
	var words []string
	array, _ := n.object[key].([]any)
	for _, v := range array {
		words = append(words, fmt.Sprint(v))
	}
	return words
}

// follow returns what a node refers to; itself if it does not.
func (n node) follow(t *testing.T) node {
	t.Helper()
	for {
		ref, ok := n.object["$ref"].(string)
		if !ok {
			return n
		}
		file, pointer, _ := strings.Cut(ref, "#")
		if file != "" {
			n = load(t, path.Join(path.Dir(n.file), file))
		} else {
			n = load(t, n.file)
		}
		if pointer != "" {
			n = n.key(strings.Split(strings.TrimPrefix(pointer, "/"), "/")...)
		}
		if n.object == nil {
			t.Fatalf("%s refers to nothing", ref)
		}
	}
}

// choices are the alternatives of a node that are not null, and whether it may be
// null.
func (n node) choices(t *testing.T) (values []node, null bool) {
	t.Helper()
	n = n.follow(t)
	alternatives, ok := n.object["anyOf"].([]any)
	if !ok {
		types, isList := n.object["type"].([]any)
		null = isList && slices.Contains(types, "null") || n.object["type"] == "null"
		if n.object["type"] == "null" {
			return nil, true
		}
		return []node{n}, null
	}
	for _, alternative := range alternatives {
		v, isNull := node{n.file, alternative.(object)}.choices(t)
		values = append(values, v...)
		null = null || isNull
	}
	return values, null
}

// is reports whether a node is of a JSON type, by its type or its words.
func (n node) is(typ string) bool {
	switch v := n.object["type"].(type) {
	case string:
		return v == typ
	case []any:
		return slices.Contains(v, any(typ))
	}
	values, _ := n.object["enum"].([]any)
	if c, ok := n.object["const"]; ok {
		values = append(values, c)
	}
	for _, v := range values {
		_, isString := v.(string)
		if isString != (typ == "string") {
			return false
		}
	}
	return len(values) > 0
}

// nilSlices are the keys of arrays that may be null.
var nilSlices = []string{"Interface.flags", "LinkEnd.flags", "MapRouter.interfaces", "Router.interfaces"}

// walker holds a schema against Go types.
type walker struct {
	*testing.T
	seen map[string]bool
}

// value holds the schema of a value against its Go type.
func (w *walker) value(at string, n node, typ reflect.Type) {
	w.Helper()
	values, null := n.choices(w.T)
	wantNull := slices.Contains(nilSlices, at)
	if typ.Kind() == reflect.Pointer {
		typ, wantNull = typ.Elem(), true
	}
	if typ == reflect.TypeFor[report.Address]() {
		typ, wantNull = reflect.TypeFor[netip.Addr](), true
	}
	if null != wantNull {
		w.Errorf("%s may be null: %v, the type says %v", at, null, wantNull)
	}
	for _, v := range values {
		w.one(at, v, typ)
	}
}

// one holds a schema that is no choice against a type.
func (w *walker) one(at string, n node, typ reflect.Type) {
	w.Helper()
	want := ""
	switch typ {
	case reflect.TypeFor[netip.Addr](), reflect.TypeFor[netip.Prefix](), reflect.TypeFor[time.Time]():
		if want = "string"; n.object["pattern"] == nil {
			w.Errorf("%s has no pattern", at)
		}
	case reflect.TypeFor[report.Milliseconds]():
		if want = "number"; !strings.HasSuffix(at, "_ms") {
			w.Errorf("%s is in milliseconds", at)
		}
	default:
		switch typ.Kind() {
		case reflect.Bool:
			want = "boolean"
		case reflect.String:
			want = "string"
		case reflect.Int, reflect.Int64, reflect.Uint8, reflect.Uint32, reflect.Uint64:
			want = "integer"
		case reflect.Float64:
			want = "number"
		case reflect.Slice:
			want = "array"
			w.value(at+"[]", n.key("items"), typ.Elem())
		case reflect.Struct:
			want = "object"
			w.structure(n, typ)
		default:
			w.Fatalf("%s: %v", at, typ)
		}
	}
	if !n.is(want) {
		w.Errorf("%s is not of the type %s: %v", at, want, n.object)
	}
}

// structure holds the schema of an object against a struct: it has the keys of
// that, all of them required, and explains each.
func (w *walker) structure(n node, typ reflect.Type) {
	w.Helper()
	id := fmt.Sprintf("%p %v", n.object, typ)
	if w.seen[id] {
		return
	}
	w.seen[id] = true
	if n.object["additionalProperties"] != false {
		w.Errorf("%v takes other keys", typ)
	}
	var keys []string
	for _, f := range reflect.VisibleFields(typ) {
		if f.Anonymous {
			continue // its fields are visible
		}
		key := f.Tag.Get("json")
		keys = append(keys, key)
		property := n.key("properties", key)
		if property.object == nil {
			w.Errorf("%v: no key %s", typ, key)
			continue
		}
		if property.object["description"] == nil && property.follow(w.T).object["description"] == nil {
			w.Errorf("%v: %s is not explained", typ, key)
		}
		w.value(typ.Name()+"."+key, property, f.Type)
	}
	if diff := cmp.Diff(keys, n.list("required")); diff != "" {
		w.Errorf("%v: required keys, - the type, + the schema:\n%s", typ, diff)
	}
	for key := range n.key("properties").object {
		if !slices.Contains(keys, key) {
			w.Errorf("%v: %s is no key of it", typ, key)
		}
	}
}

// Each schema has the keys of the Go type of its documents and no other, with
// the same types, and null where the type may be nil.
func TestTypes(t *testing.T) {
	for _, d := range documents {
		t.Run(d.name, func(t *testing.T) {
			root := load(t, schema.File(d.name))
			w := &walker{t, make(map[string]bool)}
			w.one(d.typ.Name(), root.follow(t), d.typ)
			head := root.key("properties")
			if name, version := head.key("schema").object["const"], head.key("version").object["const"]; name != d.name || version != float64(d.version) {
				t.Errorf("it is for %v %v, want %s %d", name, version, d.name, d.version)
			}
		})
	}
}

// There is a schema for each document, and no other file.
func TestFiles(t *testing.T) {
	want := []string{"shared"}
	for _, d := range documents {
		want = append(want, schema.File(d.name))
	}
	slices.Sort(want)
	entries, err := fs.ReadDir(schema.Files, ".")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The words that a schema enumerates are those that the codecs know.
func TestWords(t *testing.T) {
	path, common := load(t, "shared/path.json").key("$defs"), load(t, "shared/common.json").key("$defs")
	var codes, protocols []string
	for v := range 256 {
		if word := mtrace.Code(v).String(); !strings.HasPrefix(word, "code ") {
			codes = append(codes, strings.ToLower(word))
		}
		if word := mtrace.Protocol(v).String(); !strings.HasPrefix(word, "Unknown") {
			protocols = append(protocols, word)
		}
	}
	first := func(n node) node { return node{n.file, n.object["anyOf"].([]any)[0].(object)} }
	for what, c := range map[string]struct{ schema, want []string }{
		"flags":        {common.key("flag").list("enum"), dvmrp.InterfaceFlags(0xff).Words()},
		"capabilities": {common.key("version", "properties", "capabilities", "items").list("enum"), dvmrp.Capabilities(0xff).Words()},
		"codes":        {first(path.key("code")).list("enum"), codes},
		"protocols":    {first(path.key("hop", "properties", "protocol")).list("enum"), protocols},
	} {
		if diff := cmp.Diff(c.want, c.schema); diff != "" {
			t.Errorf("%s: - the codec, + the schema:\n%s", what, diff)
		}
	}
}

var (
	addr    = netip.MustParseAddr("192.0.2.1")
	network = netip.MustParsePrefix("192.0.2.0/24")
	moment  = time.Date(2026, 11, 1, 12, 0, 0, 1, time.UTC)
)

// fill sets everything in a value: texts to "text", whole numbers to 2, others to
// 2.5, and times of milliseconds to so little that they are 0.
func fill(v reflect.Value) {
	switch p := v.Addr().Interface().(type) {
	case *netip.Addr:
		*p = addr
		return
	case *netip.Prefix:
		*p = network
		return
	case *time.Time:
		*p = moment
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(2)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(2)
	case reflect.Float64:
		v.SetFloat(2.5)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		if v.Type().Elem() != reflect.TypeFor[report.Router]() { // conflicts
			fill(v.Index(0))
		}
	case reflect.String:
		v.SetString("text")
	}
}

// sample is a document in which nothing is null or empty.
func sample(t *testing.T, name string) any {
	t.Helper()
	router := func() report.Router {
		var r report.Router
		fill(reflect.ValueOf(&r).Elem())
		r.Error, r.Conflicts = "", []report.Router{}
		r.Version.Capabilities = []string{"prune"}
		r.Interfaces[0].Flags = []string{"down", "leaf"}
		return r
	}
	head := report.Document{Schema: name, Version: 1, Complete: true, Errors: []string{"text"}, Time: moment}
	var document any
	switch name {
	case report.RoutersSchema:
		r := router()
		r.Conflicts = []report.Router{router()}
		document = report.Routers{Document: head, Routers: []report.Router{r}}
	case report.PathSchema:
		var p report.Path
		fill(reflect.ValueOf(&p).Elem())
		p.Document, p.Method = head, report.MethodFull
		h := &p.Hops[0]
		h.Protocol, h.Code, h.Error, h.Unreliable[0].Field = "PIM/Static", "wrong_if", "text", "previous"
		p.Next.Verdict, p.Next.Version.Capabilities, p.Causes[0].Code = report.NoMtrace, []string{"genid"}, "silent"
		p.Events[0].Kind = report.EventReset
		for _, traffic := range []*report.Traffic{&p.Statistics.Links[0].Last, &p.Statistics.Links[0].Total} {
			traffic.All.Marks, traffic.Group.Marks = []report.Mark{report.MarkReset}, []report.Mark{}
		}
		document = p
	case report.MapSchema:
		var m report.Map
		fill(reflect.ValueOf(&m).Elem())
		m.Document = head
		r := &m.Routers[0]
		r.State, r.Reason, r.Version.Capabilities, r.Interfaces[0].Flags = report.RouterAnswered, "", []string{"snmp"}, []string{}
		l := &m.Links[0]
		l.Kind, l.Ends[0].Flags = report.LinkTunnel, []string{"tunnel", "srcrt"}
		l.Ends = append(l.Ends, l.Ends[0])
		document = m
	default:
		t.Fatalf("no sample of %s", name)
	}
	b, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// A schema takes a whole document, but not one in which anything lacks, is too
// much or is something else.
func TestRefuses(t *testing.T) {
	for _, d := range documents {
		if d.name == report.StatsSchema {
			continue // it is mtrace's by another name
		}
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			s, err := schematest.Compile(schema.File(d.name))
			if err != nil {
				t.Fatal(err)
			}
			document := sample(t, d.name)
			if err := s.Validate(document); err != nil {
				t.Fatal(err)
			}
			refuses := func(what string) {
				t.Helper()
				if s.Validate(document) == nil {
					t.Errorf("it takes a document %s", what)
				}
			}
			var each func(at string, v any, set func(any))
			each = func(at string, v any, set func(any)) {
				for _, other := range []any{object{}, true, "\x00", 2.5} {
					free := v == "text" || v == "" || reflect.ValueOf(v).Kind() == reflect.Float64 && v != 1.0 && v != 2.0
					if reflect.TypeOf(other) == reflect.TypeOf(v) && (free || !reflect.TypeOf(v).Comparable() || v == true) {
						continue
					}
					set(other)
					refuses(fmt.Sprintf("with %v at %s", other, at))
				}
				set(v)
				switch v := v.(type) {
				case []any:
					if len(v) > 0 {
						each(at+"[]", v[0], func(x any) { v[0] = x })
					}
				case object:
					v["more"] = 1
					refuses("with another key in " + at)
					delete(v, "more")
					for _, key := range slices.Sorted(maps.Keys(v)) {
						value := v[key]
						delete(v, key)
						refuses("without " + at + "." + key)
						v[key] = value
						each(at+"."+key, value, func(x any) { v[key] = x })
					}
				}
			}
			each("", document, func(v any) { document = v })
			if err := s.Validate(document); err != nil {
				t.Fatal("the test has left it damaged: ", err)
			}
		})
	}
}
