// Finds the programs that Go code runs or looks up in PATH: every call of exec.Command, LookPath and the like in the
// packages that some commands are made of, with the first argument followed to its constants.
//
//	scan NAME=PACKAGE[,PACKAGE]...
//
// runs in a directory with go.mod and go.sum. A line for each program and place: `run`, program, the names whose
// packages have it, where; `any` instead of `run` where the argument could not be followed to its end.
package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

// Package is what `go list` says of one, and what was read of it.
type Package struct {
	ImportPath, Dir   string
	Standard          bool
	GoFiles, CgoFiles []string
	Imports           []string
	ImportMap         map[string]string

	// Whose package it is.
	names map[string]bool
	// Values of constants and variables at the top, functions and methods, by name.
	values    map[string][]ast.Expr
	functions map[string][]*function
	// What is put into fields of this name, in literals and by assignment.
	fields map[string][]place
	calls  []call
}

// An expression and where it is.
type place struct {
	expr ast.Expr
	in   *function
	// Which of several values it stands for.
	index int
}

type call struct {
	*ast.CallExpr
	in *function
}

func (c call) name() string {
	switch fun := c.Fun.(type) {
	case *ast.Ident:
		return fun.Name
	case *ast.SelectorExpr:
		return fun.Sel.Name
	}
	return ""
}

type function struct {
	*ast.FuncDecl
	file *file
}

type file struct {
	name    string
	imports map[string]string
	of      *Package
}

var packages = map[string]*Package{}

// Calls by the name of what is called.
var callers = map[string][]call{}

func main() {
	if err := scan(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "scan:", err)
		os.Exit(1)
	}
}

func scan(commands []string) error {
	roots := map[string][]string{}
	list := []string{"list", "-deps", "-tags=providerless", "-json=ImportPath,Dir,Standard,GoFiles,CgoFiles,Imports,ImportMap"}
	for _, command := range commands {
		name, of, _ := strings.Cut(command, "=")
		roots[name] = strings.Split(of, ",")
		list = append(list, roots[name]...)
	}
	run := exec.Command("go", list...)
	run.Stderr = os.Stderr
	output, err := run.Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	for decoder := json.NewDecoder(strings.NewReader(string(output))); decoder.More(); {
		p := &Package{names: map[string]bool{}}
		if err := decoder.Decode(p); err != nil {
			return err
		}
		packages[p.ImportPath] = p
	}
	for name, of := range roots {
		for _, root := range of {
			for path, p := range packages {
				// A pattern, `.../plugins/...`, is all packages below it.
				if start, all := strings.CutSuffix(root, "/..."); path == root || all && strings.HasPrefix(path, start+"/") {
					p.belongsTo(name)
				}
			}
		}
	}
	var paths []string
	for path, p := range packages {
		if !p.Standard {
			paths = append(paths, path)
			if err := p.read(); err != nil {
				return err
			}
		}
	}
	sort.Strings(paths)
	lines := map[string]bool{}
	for _, path := range paths {
		packages[path].report(lines)
	}
	var sorted []string
	for line := range lines {
		sorted = append(sorted, line)
	}
	sort.Strings(sorted)
	fmt.Println(strings.Join(sorted, "\n"))
	return nil
}

func (p *Package) belongsTo(name string) {
	if p.Standard || p.names[name] {
		return
	}
	p.names[name] = true
	for _, path := range p.Imports {
		if real, mapped := p.ImportMap[path]; mapped {
			path = real
		}
		if imported := packages[path]; imported != nil {
			imported.belongsTo(name)
		}
	}
}

// Parses the files that this platform and these tags have.
func (p *Package) read() error {
	p.values, p.functions, p.fields = map[string][]ast.Expr{}, map[string][]*function{}, map[string][]place{}
	for _, name := range append(p.GoFiles, p.CgoFiles...) {
		// Generated code names no programs, and is half of all.
		if strings.HasSuffix(name, ".pb.go") || strings.HasPrefix(name, "zz_generated") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		f := &file{name: name, imports: map[string]string{}, of: p}
		for _, spec := range parsed.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			// The last element, but for a version: the packages that matter here are named so.
			elements := strings.Split(path, "/")
			alias := elements[len(elements)-1]
			if len(elements) > 1 && len(alias) > 1 && alias[0] == 'v' && alias[1] >= '0' && alias[1] <= '9' {
				alias = elements[len(elements)-2]
			}
			if spec.Name != nil {
				alias = spec.Name.Name
			}
			f.imports[alias] = path
		}
		for _, declaration := range parsed.Decls {
			in := &function{file: f}
			switch d := declaration.(type) {
			case *ast.FuncDecl:
				in.FuncDecl = d
				p.functions[d.Name.Name] = append(p.functions[d.Name.Name], in)
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if value, is := spec.(*ast.ValueSpec); is {
						for i, name := range value.Names {
							if i < len(value.Values) {
								p.values[name.Name] = append(p.values[name.Name], value.Values[i])
							}
						}
					}
				}
			}
			ast.Inspect(declaration, func(node ast.Node) bool {
				switch n := node.(type) {
				case *ast.CallExpr:
					c := call{n, in}
					p.calls = append(p.calls, c)
					callers[c.name()] = append(callers[c.name()], c)
				case *ast.KeyValueExpr:
					if key, is := n.Key.(*ast.Ident); is {
						p.fields[key.Name] = append(p.fields[key.Name], place{n.Value, in, 0})
					}
				case *ast.AssignStmt:
					for i, left := range n.Lhs {
						if field, is := left.(*ast.SelectorExpr); is {
							p.fields[field.Sel.Name] = append(p.fields[field.Sel.Name], right(n, i, in))
						}
					}
				}
				return true
			})
		}
	}
	return nil
}

// What an assignment gives its left side of this index.
func right(n *ast.AssignStmt, i int, in *function) place {
	if len(n.Rhs) == len(n.Lhs) {
		return place{n.Rhs[i], in, 0}
	}
	return place{n.Rhs[0], in, i}
}
