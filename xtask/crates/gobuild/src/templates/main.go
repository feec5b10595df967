// Which fields and methods the templates among a program's sources name.
//
// Its argument is a file with the names of files, one a line. Each string of a Go file and each other file that has an action is
// taken for a template, whatever becomes of it. Of each a line is written: its place, a tab, and the names; or, if it takes
// names from elsewhere, `!` and what it is.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"
)

// What an action begins with.
const action = "{{"

// What stands for the parts of a string that are not in its expression: text outside of actions, an error within.
const unknown = "\x00"

// What is named in an action.
var word = regexp.MustCompile(`\.([\pL_][\pL\pN_]*)`)

func main() {
	list, err := os.Open(os.Args[1])
	if err != nil {
		fail(err)
	}
	files := bufio.NewScanner(list)
	for files.Scan() {
		name := files.Text()
		text, err := os.ReadFile(name)
		if err != nil {
			fail(err)
		}
		switch {
		case !bytes.Contains(text, []byte(action)) && !bytes.Contains(text, []byte("Delims")):
		case strings.HasSuffix(name, ".go"):
			source(name, text)
		default:
			tell(name, string(text))
		}
	}
	if err := files.Err(); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// source tells the templates among the strings of a Go file.
func source(name string, text []byte) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.SkipObjectResolution)
	if err != nil {
		fail(err)
	}
	parts := map[ast.Expr]bool{}
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.CallExpr:
			if it, ok := node.Fun.(*ast.SelectorExpr); ok && it.Sel.Name == "Delims" {
				fmt.Printf("%s\t!its actions begin with something else\n", set.Position(node.Pos()))
			}
		case *ast.BasicLit, *ast.BinaryExpr:
			if expr := node.(ast.Expr); !parts[expr] {
				tell(set.Position(node.Pos()).String(), sum(expr, parts))
			}
		}
		return true
	})
}

// sum returns the text of a string, or of several that are added up, and remembers its parts.
func sum(expr ast.Expr, parts map[ast.Expr]bool) string {
	switch it := expr.(type) {
	case *ast.BasicLit:
		parts[expr] = true
		if text, err := strconv.Unquote(it.Value); err == nil && it.Kind == token.STRING {
			return text
		}
	case *ast.ParenExpr:
		return sum(it.X, parts)
	case *ast.BinaryExpr:
		if it.Op == token.ADD {
			parts[expr] = true
			return sum(it.X, parts) + sum(it.Y, parts)
		}
	}
	return unknown
}

// tell writes what a template names, or why it is none.
func tell(place, text string) {
	if !strings.Contains(text, action) {
		return
	}
	tree := parse.New("")
	tree.Mode = parse.SkipFuncCheck
	trees := map[string]*parse.Tree{}
	names := map[string]bool{}
	if _, err := tree.Parse(text, "", "", trees); err != nil {
		// A part of one, or none.
		if !guess(text, names) {
			fmt.Printf("%s\t!%q\n", place, text)
			return
		}
	}
	for _, tree := range trees {
		collect(tree.Root, names)
	}
	fmt.Printf("%s\t%s\n", place, strings.Join(slices.Sorted(maps.Keys(names)), " "))
}

// guess adds whatever may be a name in the actions of a text that is not a template by itself; false if an action is not whole,
// or other text is to be put into it.
func guess(text string, names map[string]bool) bool {
	for _, part := range strings.Split(text, action)[1:] {
		part, _, whole := strings.Cut(part, "}}")
		if !whole || strings.Contains(part, unknown) || strings.Contains(part, "%") {
			return false
		}
		for _, found := range word.FindAllStringSubmatch(part, -1) {
			names[found[1]] = true
		}
	}
	return true
}

// collect adds the names below a node.
func collect(node parse.Node, names map[string]bool) {
	add := func(idents []string) {
		for _, ident := range idents {
			names[ident] = true
		}
	}
	branch := func(it *parse.BranchNode) {
		collect(it.Pipe, names)
		collect(it.List, names)
		collect(it.ElseList, names)
	}
	switch it := node.(type) {
	case *parse.ListNode:
		if it != nil {
			for _, node := range it.Nodes {
				collect(node, names)
			}
		}
	case *parse.PipeNode:
		if it != nil {
			for _, command := range it.Cmds {
				collect(command, names)
			}
		}
	case *parse.CommandNode:
		for _, node := range it.Args {
			collect(node, names)
		}
	case *parse.FieldNode:
		add(it.Ident)
	case *parse.VariableNode:
		add(it.Ident[1:])
	case *parse.ChainNode:
		collect(it.Node, names)
		add(it.Field)
	case *parse.ActionNode:
		collect(it.Pipe, names)
	case *parse.TemplateNode:
		collect(it.Pipe, names)
	case *parse.IfNode:
		branch(&it.BranchNode)
	case *parse.RangeNode:
		branch(&it.BranchNode)
	case *parse.WithNode:
		branch(&it.BranchNode)
	case *parse.TextNode, *parse.CommentNode, *parse.BreakNode, *parse.ContinueNode, *parse.IdentifierNode,
		*parse.DotNode, *parse.NilNode, *parse.BoolNode, *parse.NumberNode, *parse.StringNode:
	default:
		fail(fmt.Errorf("a node of a template that is not known: %T", node))
	}
}
