// Verifies an exported audit folder with the packages that verify Go's own transparency log:
//
//	verify EXPORT_FOLDER VKEY [EARLIER_CHECKPOINT]
//
// Written from docs/format-audit.md alone. It knows no change of the key.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type head struct {
	size int64
	root tlog.Hash
}

type link struct {
	N    int64  `json:"n"`
	Prev string `json:"prev"`
}

type record struct {
	Seq     int64                 `json:"seq"`
	Subject string                `json:"subject"`
	Service struct{ Name string } `json:"service"`
	Project string                `json:"project"`
	Chain   map[string]link       `json:"chain"`
}

type proof struct {
	Seq    int64    `json:"seq"`
	Proof  []string `json:"proof"`
	Leaves *string  `json:"leaves"`
}

// What is proven next: the leaves of records from this one on, and the complete subtrees of the log before them, the largest first.
type proven struct {
	seq    int64
	leaves []tlog.Hash
	before []tlog.Hash
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "not a good export:", err)
		os.Exit(1)
	}
}

func toHash(text string) (hash tlog.Hash, err error) {
	bytes, err := base64.StdEncoding.Strict().DecodeString(text)
	if err == nil && len(bytes) != sha256.Size {
		err = fmt.Errorf("a hash of %d bytes", len(bytes))
	}
	copy(hash[:], bytes)
	return hash, err
}

// What the log signed.
func readHead(path, vkey string) (h head, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return h, err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return h, err
	}
	signed, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return h, err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() || lines[3] != "" {
		return h, fmt.Errorf("%s is no checkpoint of this log", path)
	}
	h.size, err = strconv.ParseInt(lines[1], 10, 64)
	if err == nil && strconv.FormatInt(h.size, 10) != lines[1] {
		err = fmt.Errorf("a size that is written otherwise")
	}
	if err == nil {
		h.root, err = toHash(lines[2])
	}
	return h, err
}

func readLines(path string) ([][]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		return nil, fmt.Errorf("%s was cut short", path)
	}
	lines := bytes.Split(text, []byte("\n"))
	return lines[:len(lines)-1], nil
}

// The hashes of a proof that join from the left: the complete subtrees of the records before, the largest first.
func leftsOf(index, size int64, hashes []tlog.Hash) []tlog.Hash {
	if size == 1 {
		return nil
	}
	split := int64(1)
	for split < size-split {
		split *= 2
	}
	top := len(hashes) - 1
	if index < split {
		return leftsOf(index, split, hashes[:top])
	}
	return append([]tlog.Hash{hashes[top]}, leftsOf(index-split, size-split, hashes[:top])...)
}

// The complete subtrees before a record, and with it.
func grown(subtrees []tlog.Hash, index int64, leaf tlog.Hash) []tlog.Hash {
	subtrees = append([]tlog.Hash{}, subtrees...)
	for ; index%2 == 1; index /= 2 {
		leaf = tlog.NodeHash(subtrees[len(subtrees)-1], leaf)
		subtrees = subtrees[:len(subtrees)-1]
	}
	return append(subtrees, leaf)
}

func toLeaves(text string) (leaves []tlog.Hash, err error) {
	bytes, err := base64.StdEncoding.Strict().DecodeString(text)
	if err == nil && (len(bytes)%tlog.HashSize != 0 || len(bytes) < 2*tlog.HashSize || len(bytes) > 256*tlog.HashSize) {
		err = fmt.Errorf("leaves of %d bytes", len(bytes))
	}
	for ; err == nil && len(bytes) > 0; bytes = bytes[tlog.HashSize:] {
		leaves = append(leaves, tlog.Hash(*(*[tlog.HashSize]byte)(bytes)))
	}
	return leaves, err
}

func same(a, b []tlog.Hash) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// A line of proofs.jsonl, for the record of this number and leaf. `joined`: the record before is here, and proven.
func (next *proven) take(text []byte, seq int64, leaf tlog.Hash, joined bool, h head) error {
	var p proof
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	var hashes tlog.RecordProof
	for _, text := range p.Proof {
		hash, err := toHash(text)
		if err != nil {
			return err
		}
		hashes = append(hashes, hash)
	}
	leaves := []tlog.Hash{leaf}
	if p.Leaves != nil {
		var err error
		if leaves, err = toLeaves(*p.Leaves); err != nil {
			return err
		}
	}
	if p.Seq-int64(len(leaves))+1 != seq {
		return fmt.Errorf("its proof is of another record")
	}
	if len(leaves) > 1 && !joined {
		return fmt.Errorf("it is proven only with the record before it, which is missing")
	}
	if err := tlog.CheckRecord(hashes, h.size, h.root, p.Seq, leaves[len(leaves)-1]); err != nil {
		return err
	}
	lefts := leftsOf(p.Seq, h.size, hashes)
	subtrees := lefts
	if len(leaves) > 1 {
		subtrees = next.before
	}
	next.before = subtrees
	for i, leaf := range leaves[:len(leaves)-1] {
		subtrees = grown(subtrees, seq+int64(i), leaf)
	}
	if !same(subtrees, lefts) {
		return fmt.Errorf("it, or another one that is proven with it, is not what the log holds")
	}
	next.seq, next.leaves = seq, leaves
	return nil
}

// The record that is proven next must be this one.
func (next *proven) check(seq int64, leaf tlog.Hash) error {
	if seq != next.seq {
		return fmt.Errorf("its proof is of another record")
	}
	if leaf != next.leaves[0] {
		return fmt.Errorf("it is not what the log holds")
	}
	next.before = grown(next.before, seq, leaf)
	next.seq, next.leaves = seq+1, next.leaves[1:]
	return nil
}

// What the export has without a gap: the log, the chain of one subject, service or project.
type coverage struct {
	log, subject, service, project bool
	last                           int64
	links                          map[string]link
}

func (c *coverage) take(r record, leaf tlog.Hash, first bool) error {
	if !first && r.Seq <= c.last {
		return fmt.Errorf("it is out of order")
	}
	c.log = c.log && (first || r.Seq == c.last+1)
	for kind, name := range map[string]string{"subject": r.Subject, "service": r.Service.Name, "project": r.Project} {
		l, there := r.Chain[kind]
		before, known := c.links[kind+" "+name]
		whole := there && (first || known && l.N == before.N+1)
		c.subject = c.subject && (kind != "subject" || whole)
		c.service = c.service && (kind != "service" || whole)
		c.project = c.project && (kind != "project" || whole)
		if there && (l.N == 0) != (l.Prev == strings.Repeat("0", 64)) {
			return fmt.Errorf("its %s chain starts wrongly", kind)
		}
		if there && known && (l.N <= before.N || l.N == before.N+1 && l.Prev != before.Prev) {
			return fmt.Errorf("it breaks its %s chain", kind)
		}
		if there {
			c.links[kind+" "+name] = link{l.N, hex.EncodeToString(leaf[:])}
		}
	}
	c.last = r.Seq
	if !c.log && !c.subject && !c.service && !c.project {
		return fmt.Errorf("a record before it is missing")
	}
	return nil
}

// The tree of the records so far, as tlog keeps it.
type tree []tlog.Hash

func (t *tree) ReadHashes(indexes []int64) (hashes []tlog.Hash, err error) {
	for _, i := range indexes {
		if i >= int64(len(*t)) {
			return nil, fmt.Errorf("the export does not hold all records")
		}
		hashes = append(hashes, (*t)[i])
	}
	return hashes, nil
}

func (t *tree) add(seq int64, line []byte) error {
	hashes, err := tlog.StoredHashes(seq, line, t)
	*t = append(*t, hashes...)
	return err
}

func (t *tree) extends(earlier head) error {
	root, err := tlog.TreeHash(earlier.size, t)
	if err == nil && root != earlier.root {
		err = fmt.Errorf("the log was rewritten: its first %d records are others", earlier.size)
	}
	return err
}

func verify(folder, vkey string) (h head, kept tree, count int, c coverage, err error) {
	h, err = readHead(filepath.Join(folder, "checkpoint"), vkey)
	if err != nil {
		return
	}
	lines, err := readLines(filepath.Join(folder, "records.jsonl"))
	if err != nil {
		return
	}
	proofs, err := readLines(filepath.Join(folder, "proofs.jsonl"))
	if err != nil {
		return
	}
	var next proven
	c = coverage{true, true, true, true, 0, map[string]link{}}
	for i, line := range lines {
		var r record
		err = json.Unmarshal(line, &r)
		leaf := tlog.RecordHash(line)
		if err == nil && len(next.leaves) == 0 && len(proofs) == 0 {
			err = fmt.Errorf("it has no proof")
		}
		if err == nil && len(next.leaves) == 0 {
			err = next.take(proofs[0], r.Seq, leaf, i > 0 && r.Seq == c.last+1, h)
			proofs = proofs[1:]
		}
		if err == nil {
			err = next.check(r.Seq, leaf)
		}
		if err == nil {
			err = c.take(r, leaf, i == 0)
		}
		if err == nil && c.log && r.Seq == int64(i) {
			err = kept.add(r.Seq, line)
		}
		if err != nil {
			err = fmt.Errorf("line %d: %w", i+1, err)
			return
		}
	}
	if len(proofs) > 0 || len(next.leaves) > 0 || len(lines) == 0 && h.size > 0 {
		err = fmt.Errorf("line %d: it is missing, its proof is there", len(lines)+1)
	}
	return h, kept, len(lines), c, err
}

// What was asked for, by the export's own record.
type exported struct {
	From, To int64
	Of, Name string
	Count    int64
}

type own struct {
	record
	Event    string
	Exported *exported
}

// The record's number in the chain that was asked for.
func (r record) in(asked *exported) (n int64, there bool) {
	names := map[string]string{"subject": r.Subject, "service": r.Service.Name, "project": r.Project}
	l, there := r.Chain[asked.Of]
	return l.N, there && names[asked.Of] == asked.Name
}

// All is there that was asked for; complete: nothing can be missing at its ends either.
func (o own) claims(records []record, size int64) (complete bool, err error) {
	asked, cut := o.Exported, fmt.Errorf("the export was cut, or is of something else than was asked for")
	end := asked.To
	if end > size {
		end = size
	}
	if len(records) == 0 {
		return false, cut
	}
	first, last := records[0], records[len(records)-1]
	if asked.Of == "" {
		if first.Seq != asked.From || last.Seq != end-1 || int64(len(records)) != end-asked.From {
			return false, cut
		}
		return true, nil
	}
	for _, r := range records {
		if _, there := r.in(asked); !there || r.Seq < asked.From || r.Seq >= end {
			return false, cut
		}
	}
	firstN, _ := first.in(asked)
	lastN, _ := last.in(asked)
	count := asked.Count
	if _, there := o.in(asked); there {
		count++
	}
	if lastN-firstN+1 != int64(len(records)) || asked.From == 0 && firstN != 0 || asked.To >= size && lastN != count-1 {
		return false, cut
	}
	return asked.From == 0 && asked.To >= size, nil
}

// False: the export does not say what was asked for.
func checkAsked(folder string, h head) (said, complete bool, err error) {
	path := filepath.Join(folder, "asked.jsonl")
	if _, err := os.Stat(path); os.IsNotExist(err) {
		return false, false, nil
	}
	lines, err := readLines(path)
	if err == nil && len(lines) != 2 {
		err = fmt.Errorf("asked.jsonl has not two lines")
	}
	if err != nil {
		return true, false, err
	}
	var o own
	var next proven
	if err = json.Unmarshal(lines[0], &o); err == nil && (o.Event != "audit.export" || o.Exported == nil) {
		err = fmt.Errorf("asked.jsonl has no record of an export")
	}
	if err == nil {
		err = next.take(lines[1], h.size-1, tlog.RecordHash(lines[0]), false, h)
	}
	var records []record
	all, _ := readLines(filepath.Join(folder, "records.jsonl"))
	for _, line := range all {
		var r record
		if err == nil {
			err = json.Unmarshal(line, &r)
		}
		records = append(records, r)
	}
	if err == nil {
		complete, err = o.claims(records, h.size)
	}
	return true, complete, err
}

func main() {
	if len(os.Args) != 3 && len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: verify EXPORT_FOLDER VKEY [EARLIER_CHECKPOINT]")
		os.Exit(2)
	}
	h, kept, count, c, err := verify(os.Args[1], os.Args[2])
	must(err)
	said, complete, err := checkAsked(os.Args[1], h)
	must(err)
	if len(os.Args) == 4 {
		earlier, err := readHead(os.Args[3], os.Args[2])
		must(err)
		if earlier.size > h.size {
			must(fmt.Errorf("the log was cut: it had %d records, and has %d", earlier.size, h.size))
		}
		must(kept.extends(earlier))
	}
	fmt.Printf("good: %d records of a log of %d, whole %v, without a gap by log %v, subject %v, service %v, project %v, asked for %v, complete %v\n",
		count, h.size, int64(count) == h.size, c.log, c.subject, c.service, c.project, said, complete)
}
