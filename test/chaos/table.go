package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// counts are how often each fault ended how, in the order of the first strike.
type counts struct {
	rows []string
	n    map[string]map[string]int
}

func (c *campaign) count(row, outcome string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]map[string]int{}
	}
	if c.n[row] == nil {
		c.n[row] = map[string]int{}
		c.rows = append(c.rows, row)
	}
	c.n[row][outcome]++
}

func (c *counts) mixed() (n int) {
	for _, row := range c.n {
		n += row[wasMixed]
	}
	return n
}

// print writes the table, its rows in the order of the list of faults.
func (c *counts) print(to io.Writer, order []string) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "fault\tstrikes\told\tnew\tmixed\t\n")
	total := map[string]int{}
	line := func(name string, n map[string]int) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t\n", name, n[wasOld]+n[wasNew]+n[wasMixed], n[wasOld], n[wasNew], n[wasMixed])
	}
	for _, row := range order {
		if n := c.n[row]; n != nil {
			line(row, n)
			for k, v := range n {
				total[k] += v
			}
		}
	}
	line("all", total)
	return w.Flush()
}

// sum is how many strikes have been counted.
func (c *campaign) sum() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, row := range c.n {
		n += row[wasOld] + row[wasNew] + row[wasMixed]
	}
	return n
}
