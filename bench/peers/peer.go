// SPDX-License-Identifier: MIT
//
// Purpose     The programs of bench/peers.py in Go: churn SECONDS ENTRIES, trees DEPTH.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

type node struct{ leaf []byte }

type tree struct{ left, right *tree }

const row = 512

var leafBytes = [8]int{16, 24, 32, 48, 96, 128, 256, 512}
var state uint64 = 88172645463325252

func below(n int) int {
	state ^= state << 13
	state ^= state >> 7
	state ^= state << 17
	return int(((state >> 32) * uint64(n)) >> 32)
}

func leaf() []byte {
	made := make([]byte, leafBytes[below(8)]-8)
	made[0] = 1
	return made
}

func churn(seconds float64, entries int) {
	rows := entries / row
	if rows == 0 {
		rows = 1
	}
	table := make([][]*node, rows)
	for r := range table {
		table[r] = make([]*node, row)
		for c := range table[r] {
			table[r][c] = &node{leaf()}
		}
	}
	operations, over := 0, 0
	var longest time.Duration
	begin := time.Now()
	var last time.Duration
	end := time.Duration(seconds * 1e9)
	for last < end {
		r, c, kind := below(rows), below(row), below(4)
		if kind < 2 {
			table[r][c] = &node{leaf()}
		} else if kind == 2 {
			table[r][c].leaf = leaf()
		} else {
			r2, c2 := below(rows), below(row)
			table[r][c], table[r2][c2] = table[r2][c2], table[r][c]
		}
		operations++
		now := time.Since(begin)
		if now-last > longest {
			longest = now - last
		}
		if now-last >= 100*time.Microsecond {
			over++
		}
		last = now
	}
	fmt.Printf("{\"ns_per_operation\": %.3f, \"longest_us\": %.1f, \"over_100us\": %d}\n",
		float64(last.Nanoseconds())/float64(operations), float64(longest.Nanoseconds())/1e3, over)
}

func build(depth int) *tree {
	if depth == 0 {
		return &tree{}
	}
	return &tree{build(depth - 1), build(depth - 1)}
}

func check(t *tree) int {
	if t.left == nil {
		return 1
	}
	return 1 + check(t.left) + check(t.right)
}

func trees(depth int) {
	sum := check(build(depth + 1))
	kept := build(depth)
	for d := 4; d <= depth; d += 4 {
		for i := 1 << (depth - d + 4); i > 0; i-- {
			sum += check(build(d))
		}
	}
	fmt.Println(sum + check(kept))
}

func main() {
	if os.Args[1] == "churn" {
		seconds, _ := strconv.ParseFloat(os.Args[2], 64)
		entries, _ := strconv.Atoi(os.Args[3])
		churn(seconds, entries)
	} else {
		depth, _ := strconv.Atoi(os.Args[2])
		trees(depth)
	}
}
