package main

import (
	"go/ast"
	"go/token"
	"path"
	"strconv"
	"strings"
)

// How far an argument is followed, from function to function.
const deepest = 6

// What an expression can be; `complete` where that is all.
type answer struct {
	texts    []string
	complete bool
}

var unknown = answer{}

func one(text string) answer { return answer{[]string{text}, true} }

// Several ways to a value: all that they can be.
func join(answers []answer) answer {
	all := answer{complete: len(answers) > 0}
	for _, a := range answers {
		all.texts = append(all.texts, a.texts...)
		all.complete = all.complete && a.complete
	}
	return all
}

// Both in a row; what is not known is `*`.
func concat(a, b answer) answer {
	star := func(a answer) []string {
		if !a.complete {
			return append(a.texts, "*")
		}
		return a.texts
	}
	joined := answer{complete: true}
	for _, x := range star(a) {
		for _, y := range star(b) {
			joined.texts = append(joined.texts, x+y)
		}
	}
	return joined
}

// Follows an expression to its constants.
func resolve(at place, depth int) answer {
	if depth > deepest || at.in == nil {
		return unknown
	}
	switch e := at.expr.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return one(text)
		}
	case *ast.ParenExpr:
		return resolve(place{e.X, at.in, at.index}, depth)
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return concat(resolve(place{e.X, at.in, 0}, depth), resolve(place{e.Y, at.in, 0}, depth))
		}
	case *ast.Ident:
		return ident(e.Name, at.in, depth)
	case *ast.SelectorExpr:
		return selector(e, at.in, depth)
	case *ast.CallExpr:
		return called(e, at, depth)
	}
	return unknown
}

// A name: a local variable, a parameter, or one at the top of the package.
func ident(name string, in *function, depth int) answer {
	if in.FuncDecl != nil {
		values := locals(name, in, depth)
		if index, is := parameter(name, in); is {
			values = append(values, arguments(in, index, depth+1))
		}
		if values != nil {
			return join(values)
		}
	}
	return top(in.file.of, name, in.file, depth)
}

func top(p *Package, name string, f *file, depth int) answer {
	var answers []answer
	for _, value := range p.values[name] {
		answers = append(answers, resolve(place{value, &function{file: f}, 0}, depth+1))
	}
	return join(answers)
}

// Everything that a function assigns to a variable of its own.
func locals(name string, in *function, depth int) []answer {
	var answers []answer
	ast.Inspect(in.FuncDecl, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if id, is := left.(*ast.Ident); is && id.Name == name && n.Tok != token.ADD_ASSIGN {
					answers = append(answers, resolve(right(n, i, in), depth+1))
				}
			}
		case *ast.ValueSpec:
			for i, id := range n.Names {
				if id.Name == name && i < len(n.Values) {
					answers = append(answers, resolve(place{n.Values[i], in, 0}, depth+1))
				}
			}
		case *ast.RangeStmt:
			if id, is := n.Value.(*ast.Ident); is && id.Name == name {
				answers = append(answers, elements(n.X, in, depth+1))
			}
		}
		return true
	})
	return answers
}

// The elements of a list that is written out, here or at the top of the package.
func elements(expr ast.Expr, in *function, depth int) answer {
	lists := []ast.Expr{expr}
	if id, is := expr.(*ast.Ident); is {
		lists = in.file.of.values[id.Name]
	}
	var answers []answer
	for _, list := range lists {
		literal, is := list.(*ast.CompositeLit)
		if !is {
			return unknown
		}
		for _, element := range literal.Elts {
			answers = append(answers, resolve(place{element, in, 0}, depth))
		}
	}
	return join(answers)
}

// The index of a parameter of this name.
func parameter(name string, in *function) (int, bool) {
	index := 0
	for _, field := range in.Type.Params.List {
		for _, id := range field.Names {
			if id.Name == name {
				_, variadic := field.Type.(*ast.Ellipsis)
				return index, !variadic
			}
			index++
		}
	}
	return 0, false
}

// What the callers of a function give it.
func arguments(in *function, index, depth int) answer {
	var answers []answer
	for _, c := range callers[in.Name.Name] {
		if c.calls(in) && index < len(c.Args) && c.in.FuncDecl != in.FuncDecl {
			answers = append(answers, resolve(place{c.Args[index], c.in, 0}, depth))
		}
	}
	return join(answers)
}

// Is it this function that is called? A method is known by its name, in its own package.
func (c call) calls(f *function) bool {
	home := c.in.file.of == f.file.of
	switch fun := c.Fun.(type) {
	case *ast.Ident:
		return home && f.Recv == nil && fun.Name == f.Name.Name
	case *ast.SelectorExpr:
		if fun.Sel.Name != f.Name.Name {
			return false
		}
		if f.Recv != nil {
			return home
		}
		x, is := fun.X.(*ast.Ident)
		return is && c.in.file.imports[x.Name] == f.file.of.ImportPath
	}
	return false
}

// A constant of another package, or a field.
func selector(e *ast.SelectorExpr, in *function, depth int) answer {
	if x, is := e.X.(*ast.Ident); is {
		if p := packages[in.file.imports[x.Name]]; p != nil {
			return top(p, e.Sel.Name, &file{of: p}, depth)
		}
	}
	var answers []answer
	for _, put := range in.file.of.fields[e.Sel.Name] {
		answers = append(answers, resolve(put, depth+1))
	}
	return join(answers)
}

// What a function returns.
func called(e *ast.CallExpr, at place, depth int) answer {
	name, from := "", at.in.file.of
	switch fun := e.Fun.(type) {
	case *ast.Ident:
		name = fun.Name
	case *ast.SelectorExpr:
		name = fun.Sel.Name
		if x, is := fun.X.(*ast.Ident); is && at.in.file.imports[x.Name] != "" {
			from = packages[at.in.file.imports[x.Name]]
		}
	}
	switch {
	case name == "string" && len(e.Args) == 1, name == "LookPath" && len(e.Args) == 1 && at.index == 0:
		return resolve(place{e.Args[0], at.in, 0}, depth)
	case name == "Join" && (from == nil || from.Standard):
		var joined []string
		for _, arg := range e.Args {
			part := resolve(place{arg, at.in, 0}, depth)
			if len(part.texts) != 1 || !part.complete {
				part.texts = []string{"*"}
			}
			joined = append(joined, part.texts[0])
		}
		return one(path.Join(joined...))
	case from == nil || from.Standard:
		return unknown
	}
	var answers []answer
	for _, f := range from.functions[name] {
		if f.Body == nil {
			return unknown
		}
		ast.Inspect(f.Body, func(node ast.Node) bool {
			switch n := node.(type) {
			case *ast.FuncLit:
				return false
			case *ast.ReturnStmt:
				if at.index < len(n.Results) {
					answers = append(answers, resolve(place{n.Results[at.index], f, 0}, depth+1))
				}
			}
			return true
		})
	}
	// An empty text is what goes with an error.
	all := join(answers)
	var texts []string
	for _, text := range all.texts {
		if strings.TrimSpace(text) != "" {
			texts = append(texts, text)
		}
	}
	return answer{texts, all.complete}
}
