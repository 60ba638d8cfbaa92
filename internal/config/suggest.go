package config

import (
	"strconv"
	"strings"
)

// nearest returns the keyword that a word was most likely meant to be, among
// those of some scopes, or nil.
func nearest(text string, scope Scope) *Keyword {
	if len(text) > maxQuote {
		return nil
	}
	plain := strings.ReplaceAll(strings.ToLower(text), "_", "-")
	var best *Keyword
	least := max(1, len(plain)/3) + 1
	for i := range keywords {
		k := &keywords[i]
		if k.Scope&scope == 0 || k.Ignored != "" || k.Refused != "" {
			continue
		}
		if d := distance(plain, strings.ToLower(k.Name)); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is how many bytes have to be changed, added, left out or swapped with
// the next one to make a into b (optimal string alignment).
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// short writes a bound.
func short(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
