package config

import (
	"fmt"
	"strings"
)

// setting is a keyword of the file with its arguments.
type setting struct {
	key  *Keyword
	at   word // the keyword
	args []word
	end  place // behind the last word
}

// statement is a setting for all, or a phyint or tunnel with its options.
type statement struct {
	setting
	options []setting
}

// parser gives the words of a file their shape: which keyword takes which of
// them. What they mean is seen later, by the checker.
type parser struct {
	*problems
	words      []word
	next       int // index of the next word
	statements []statement
	// link is the scope of the options that may come now: that of the statement
	// before, nothing, or everything after a statement that was not understood.
	link Scope
	// lost is whether that statement was not understood: options go nowhere.
	lost bool
	// toggle is whether an on or off could have come.
	toggle bool
}

// parse returns the statements of a text. Those that have a problem are missing.
func parse(text string, p *problems) []statement {
	r := &parser{problems: p, words: lex(text, p)}
	for r.next < len(r.words) && len(p.errors) < maxCollected {
		r.step()
	}
	return r.statements
}

// keyword returns the row of the keyword that begins with word i, and how many
// words it has.
func (r *parser) keyword(i int) (*Keyword, int) {
	if i >= len(r.words) || r.words[i].quoted {
		return nil, 0
	}
	if text := r.words[i].text; text != prefixNo {
		return spellings[text], 1
	}
	if i+1 < len(r.words) && !r.words[i+1].quoted {
		if k := spellings[prefixNo+" "+r.words[i+1].text]; k != nil {
			return k, 2
		}
	}
	return nil, 0
}

// step takes a keyword with its arguments.
func (r *parser) step() {
	w := r.words[r.next]
	key, length := r.keyword(r.next)
	toggle := r.toggle
	r.toggle = false
	if key == nil {
		r.unknown(toggle && !w.first)
		return
	}
	option := key.Scope&r.link != 0
	if !option && key.Scope&Global == 0 {
		r.misplaced(w, key)
	}
	if option && key.Scope&Global != 0 && !r.lost && w.first && w.column == 1 {
		last := &r.statements[len(r.statements)-1]
		r.warn(w.place, "%s is taken as an option of the %s in line %d: put it before the first phyint if it is for all links, indent it if not",
			key.Name, last.key.Name, last.at.line)
	}
	r.next += length
	s := setting{key: key, at: w, end: r.words[r.next-1].end}
	ok := r.arguments(&s)
	switch {
	case option && !r.lost && ok:
		last := &r.statements[len(r.statements)-1]
		last.options = append(last.options, s)
	case option || key.Scope&Global == 0:
	case key.Name == "phyint" || key.Name == "tunnel":
		r.link, r.lost = OnPhyint, !ok
		if key.Name == "tunnel" {
			r.link = OnTunnel
		}
		if ok {
			r.statements = append(r.statements, statement{setting: s})
		}
	default:
		r.link, r.lost = 0, false
		if ok {
			r.statements = append(r.statements, statement{setting: s})
		}
	}
}

// misplaced tells of an option that does not belong to what stands before it.
func (r *parser) misplaced(w word, key *Keyword) {
	owner := "a " + strings.Replace(key.Scope.String(), " and ", " or a ", 1)
	switch r.link {
	case OnPhyint:
		r.fail(w.place, "%s belongs to %s, found it after a phyint: remove it", key.Name, owner)
	case OnTunnel:
		r.fail(w.place, "%s belongs to %s, found it after a tunnel: remove it", key.Name, owner)
	default:
		r.fail(w.place, "%s belongs to %s: expected one before it", key.Name, owner)
	}
}

// unknown tells of a word that is no keyword, and leaves out what may belong to
// it, so that one slip is told once. toggle is whether on or off could have stood
// there.
func (r *parser) unknown(toggle bool) {
	w := r.words[r.next]
	if w.bare(prefixNo) {
		r.unknownNo()
		return
	}
	expected := "a setting, name, phyint or tunnel"
	candidates := Global
	if r.link != 0 {
		expected = "an option of " + r.link.String() + ", or the next statement"
		if r.lost && r.link == OnLink {
			expected = "a keyword"
		}
		candidates |= r.link
	}
	if toggle {
		expected = "on, off, " + expected
	}
	if last := r.next - 1; last >= 0 && !w.first && !r.words[last].quoted && strings.Contains(r.words[last].text, "#") {
		r.fail(w.place, "expected %s, found %s: a comment begins with # after a blank", expected, quote(w.text))
		for r.next++; r.next < len(r.words) && !r.words[r.next].first; {
			r.next++
		}
		return
	}
	near := nearest(w.text, candidates)
	hint := ""
	switch other := nearest(w.text, Global|OnLink); {
	case w.quoted:
		hint, near = ": keywords are not in quotes", nil
	case near != nil:
		hint = ": did you mean " + near.Name + "?"
	case other != nil:
		hint, near = fmt.Sprintf(": did you mean %s, an option of %s?", other.Name, other.Scope), other
	case strings.Contains(w.text, "#"):
		hint = ": a comment begins with # after a blank"
	}
	r.fail(w.place, "expected %s, found %s%s", expected, quote(w.text), hint)
	r.next++
	option := near != nil && near.Scope&OnLink != 0
	if !option && w.first { // perhaps a phyint or tunnel: its options are not judged
		r.link, r.lost = OnLink, true
	}
	for ; r.next < len(r.words); r.next++ {
		next := r.words[r.next]
		key, _ := r.keyword(r.next)
		isKeyword := key != nil || next.bare(prefixNo)
		if isKeyword && (option || !w.first || next.first) || next.first && next.column == 1 {
			return
		}
	}
}

// unknownNo tells of a no that nothing follows that can be denied.
func (r *parser) unknownNo() {
	w := r.words[r.next]
	r.next++
	if r.next == len(r.words) {
		r.fail(w.end, "expected phyint or router-alert after no, found the end of the file")
		return
	}
	r.fail(r.words[r.next].place, "expected phyint or router-alert after no, found %s", quote(r.words[r.next].text))
	if key, _ := r.keyword(r.next); key == nil && !r.words[r.next].bare(prefixNo) {
		r.next++
	}
}

// arguments takes the words that belong to a keyword and reports whether they are
// there.
func (r *parser) arguments(s *setting) bool {
	switch s.key.Argument {
	case ArgNone:
		return true
	case ArgToggle:
		if r.next < len(r.words) && (r.words[r.next].bare("on") || r.words[r.next].bare("off")) {
			r.take(s)
		}
		r.toggle = len(s.args) == 0
		return true
	case ArgNamedScope:
		return r.need(s, "a name for the boundary") && r.need(s, description(s.key))
	case ArgTunnel:
		return r.need(s, "an interface or an address of this host") && r.need(s, "the address or name of the other end")
	case ArgRoutes, ArgAskers:
		ok := r.need(s, description(s.key))
		for ok && r.next < len(r.words) {
			if key, _ := r.keyword(r.next); key != nil || r.words[r.next].bare(prefixNo) {
				break
			}
			if r.endsList(s.key) {
				break
			}
			r.take(s)
		}
		return ok
	default:
		return r.need(s, description(s.key))
	}
}

// endsList reports whether the next word is not for the list of key but a slip in
// a keyword: it begins a line and looks neither like an address nor like a word of
// the list.
func (r *parser) endsList(key *Keyword) bool {
	w := r.words[r.next]
	if !w.first || isNumeric(w.text) || strings.Contains(w.text, "/") {
		return false
	}
	for _, known := range listWords[key.Argument] {
		if w.bare(known) {
			return false
		}
	}
	return true
}

// listWords are the words that lists may have besides networks.
var listWords = map[Argument][]string{
	ArgRoutes: {wordDefault, wordExact, wordBidir},
	ArgAskers: {wordAny, wordNone, wordLocal, wordPrivate, wordRouted},
}

const (
	wordDefault = "default"
	wordExact   = "exact"
	wordBidir   = "bidir"

	wordAny     = "any"
	wordNone    = "none"
	wordLocal   = "local"
	wordPrivate = "private"
	wordRouted  = "routed"

	wordOn  = "on"
	wordOff = "off"
)

func (r *parser) take(s *setting) {
	w := r.words[r.next]
	s.args = append(s.args, w)
	s.end = w.end
	r.next++
}

// need takes a word; a keyword is none.
func (r *parser) need(s *setting, what string) bool {
	if r.next == len(r.words) {
		r.fail(s.end, "expected %s after %s, found the end of the file", what, s.key.Name)
		return false
	}
	w := r.words[r.next]
	key, _ := r.keyword(r.next)
	if key != nil || w.bare(prefixNo) {
		hint := ""
		switch s.key.Argument {
		case ArgInterface, ArgDevice, ArgTunnel, ArgScoped, ArgNamedScope:
			hint = ": put it in quotes if it is a name"
		}
		r.fail(w.place, "expected %s after %s, found the keyword %s%s", what, s.key.Name, w.text, hint)
		return false
	}
	r.take(s)
	return true
}

// description says what a keyword expects.
func description(k *Keyword) string {
	span := " from " + short(k.Min) + " to " + short(k.Max)
	switch k.Argument {
	case ArgNumber:
		return "a number" + span
	case ArgSeconds, ArgFraction:
		return "seconds" + span
	case ArgKilobits:
		return "kbit/s" + span
	case ArgToggle:
		return "on or off"
	case ArgMask:
		return "a mask such as 255.255.255.0"
	case ArgNetwork:
		return "a network such as 192.0.2.0/24"
	case ArgGroup:
		return "a group such as 239.1.2.3"
	case ArgNamedScope:
		return "the network of the boundary, such as 239.255.0.0/16"
	case ArgScoped:
		return "the name of a boundary or a network such as 239.255.0.0/16"
	case ArgRoutes:
		return "a network such as 192.0.2.0/24 or default"
	case ArgAskers:
		return "any, none, local, private, routed or a network such as 192.0.2.0/24"
	case ArgInterface:
		return "the name or an address of an interface"
	case ArgDevice:
		return "the name of an interface"
	case ArgTunnel:
		return "an interface or an address of this host"
	}
	return "a word"
}
