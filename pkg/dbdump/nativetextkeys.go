package dbdump

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// rangesByText bounds the ranges of a table whose key is a text: each takes a few questions.
	rangesByText = 64
	// rangesBlindly is how many a table gets whose statistics are those of an empty one: it was just filled, and the server
	// has not counted yet, which it puts off for ten seconds, and forgets when it is restarted meanwhile.
	rangesBlindly = 16
	// questionsPerRange bounds what is asked for each, whatever the keys look like.
	questionsPerRange = 4
)

// stretch is the rows from one value of a text key up to, not with, another.
type stretch struct {
	from, to string // as literals; "" is open
	low, up  string // the same as values: of an open end the least or the greatest value there is
	rows     int64  // the server's estimate
	whole    bool   // cannot be cut
}

// textKeys asks about a table's text key.
type textKeys struct {
	l     *link
	table string // quoted, as is key
	key   string
	blind bool // the server knows nothing of its rows
	left  int  // questions
}

// textRanges is ranges for a key that is a text. Its borders are keys that are there, because only the server knows its
// collation; the same rows are always cut in the same places.
func (n *native) textRanges(ctx context.Context, l *link, t *table) ([]string, error) {
	want, blind := min(t.info.Bytes/rangeBytes, rangesByText), t.info.Rows == 0
	if blind {
		want = rangesBlindly
	}
	if want < 2 {
		return []string{""}, nil
	}
	k := &textKeys{l: l, table: QuoteIdent(t.info.Name), key: QuoteIdent(t.key), blind: blind, left: int(want) * questionsPerRange}
	var list []stretch
	err := l.within(ctx, func() (err error) {
		list, err = k.cut(ctx, want)
		return err
	})
	if err != nil {
		return nil, err
	}
	var ranges []string
	for _, s := range list {
		ranges = append(ranges, rangeOf(t.key, s.from, s.to))
	}
	return ranges, nil
}

// cut halves the largest stretch again and again, until none has more than two shares of so many.
func (k *textKeys) cut(ctx context.Context, shares int64) ([]stretch, error) {
	ends, err := k.ask(ctx, "SELECT MIN(%[1]s), MAX(%[1]s) FROM %[2]s", k.key, k.table)
	if err != nil || len(ends) == 0 {
		return nil, err
	}
	all := stretch{low: ends[0], up: ends[1]}
	if k.blind {
		all.rows = shares
	} else if all.rows, err = k.estimate(ctx, all); err != nil {
		return nil, err
	}
	list, most := []stretch{all}, all.rows/shares
	for k.left > 0 && len(list) < rangesByText {
		i := largest(list)
		if list[i].whole || list[i].rows <= most {
			break
		}
		halves, err := k.halve(ctx, list[i])
		if err != nil {
			return nil, err
		}
		list = slices.Replace(list, i, i+1, halves...)
	}
	return list, nil
}

// largest returns the first of the stretches with the most rows that can be cut; any if none can.
func largest(list []stretch) int {
	i := 0
	for j, s := range list {
		if !s.whole && (list[i].whole || s.rows > list[i].rows) {
			i = j
		}
	}
	return i
}

// halve cuts a stretch at a key about in its middle, or marks it as one that cannot be cut.
func (k *textKeys) halve(ctx context.Context, s stretch) ([]stretch, error) {
	for _, middle := range middles(s.low, s.up) {
		row, err := k.ask(ctx, "SELECT %[1]s FROM %[2]s FORCE INDEX (PRIMARY) WHERE %[1]s > %[3]s AND %[1]s >= %[4]s AND %[5]s ORDER BY %[1]s LIMIT 1",
			k.key, k.table, textLiteral(s.low), textLiteral(middle), k.below(s))
		if err != nil {
			return nil, err
		}
		if row == nil {
			continue
		}
		at := row[0]
		left := stretch{from: s.from, low: s.low, to: textLiteral(at), up: at}
		right := stretch{from: left.to, low: at, to: s.to, up: s.up}
		if k.blind {
			left.rows, right.rows = s.rows/2, s.rows/2
			return []stretch{left, right}, nil
		}
		if left.rows, err = k.estimate(ctx, left); err != nil {
			return nil, err
		}
		right.rows, err = k.estimate(ctx, right)
		return []stretch{left, right}, err
	}
	s.whole = true
	return []stretch{s}, nil
}

// below is the condition for keys before the stretch's end.
func (k *textKeys) below(s stretch) string {
	if s.to == "" {
		return k.key + " <= " + textLiteral(s.up)
	}
	return k.key + " < " + s.to
}

// rowsOfExplain is the place of the column "rows" in EXPLAIN's answer, by the number of its columns: MariaDB's and MySQL
// 5.6's has 10, that of later MySQL two more, "partitions" before it and "filtered" after it.
var rowsOfExplain = map[int]int{10: 8, 12: 9}

// estimate asks the server how many rows a stretch has, which looks at a few pages of the index; 0, so that nothing is
// cut, if it does not say.
func (k *textKeys) estimate(ctx context.Context, s stretch) (int64, error) {
	row, err := k.ask(ctx, "EXPLAIN SELECT %[1]s FROM %[2]s FORCE INDEX (PRIMARY) WHERE %[1]s >= %[3]s AND %[4]s",
		k.key, k.table, textLiteral(s.low), k.below(s))
	if err != nil {
		return 0, err
	}
	at, ok := rowsOfExplain[len(row)]
	if !ok {
		return 0, nil
	}
	count, err := strconv.ParseInt(row[at], 10, 64)
	if err != nil { // NULL, where it knows that there is none
		return 0, nil
	}
	return count, nil
}

// ask returns the first row of an answer, nil if there is none.
func (k *textKeys) ask(ctx context.Context, format string, args ...any) ([]string, error) {
	k.left--
	rows, err := k.l.rows(ctx, fmt.Sprintf(format, args...))
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}

// textLiteral writes a text so that nothing in it means anything.
func textLiteral(s string) string { return fmt.Sprintf("_utf8mb4 X'%X'", s) }

// alphabet is characters in the order that most collations have them.
const alphabet = " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~0123456789abcdefghijklmnopqrstuvwxyz"

// middles guesses texts between two others, the better ones first. They may lie anywhere: the server is asked.
func middles(low, up string) []string {
	var list []string
	for _, same := range []func(a, b rune) bool{
		func(a, b rune) bool { return unicode.ToLower(a) == unicode.ToLower(b) },
		func(a, b rune) bool { return a == b },
	} {
		for _, m := range middlesBehind(low, up, same) {
			if !slices.Contains(list, m) {
				list = append(list, m)
			}
		}
	}
	return list
}

// middlesBehind does so behind what both begin with.
func middlesBehind(low, up string, same func(a, b rune) bool) []string {
	a, rest := firstRune(low)
	b, restUp := firstRune(up)
	common := 0
	for a != 0 && b != 0 && same(a, b) {
		common = len(low) - len(rest)
		a, rest = firstRune(rest)
		b, restUp = firstRune(restUp)
	}
	prefix := low[:common]
	var list []string
	if m := between(a, b); m != 0 {
		list = append(list, prefix+string(m))
	}
	if b != 0 { // everything that begins as the greater one does
		list = append(list, prefix+string(b))
	}
	if a != 0 { // or half of what begins as the lesser one does
		next, _ := firstRune(rest)
		if m := between(next, 'z'); m != 0 {
			list = append(list, prefix+string(a)+string(m))
		}
	}
	return list
}

// firstRune returns the first character, 0 if there is none, and the rest.
func firstRune(s string) (rune, string) {
	if s == "" {
		return 0, ""
	}
	r, n := utf8.DecodeRuneInString(s)
	return r, s[n:]
}

// between returns a character between two, 0 for a before the first of all; 0 if there is none.
func between(a, b rune) rune {
	i, j := letterPlace(a), letterPlace(b)
	if i < 0 || j < 0 {
		if b-a < 2 || !utf8.ValidRune(a+(b-a)/2) {
			return 0
		}
		return a + (b-a)/2
	}
	if j-i < 2 {
		return 0
	}
	return rune(alphabet[(i+j)/2-1])
}

// letterPlace returns where a character is in the alphabet, from 1; 0 for none, and -1 for others.
func letterPlace(r rune) int {
	if r == 0 {
		return 0
	}
	if i := strings.IndexRune(alphabet, unicode.ToLower(r)); i >= 0 {
		return i + 1
	}
	return -1
}
