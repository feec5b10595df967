package main

import (
	"go/ast"
	"sort"
	"strings"
)

// Functions that run a program or look it up, with the index of the argument that names it; methods of these names
// count wherever they are: everybody wraps them in an interface of its own.
var runners = map[string]int{"Command": 0, "CommandContext": 1, "LookPath": 0, "StartProcess": 0, "ForkExec": 0}

// Functions that mount, with the index of the filesystem's type: mount(8) has a helper of that name.
var mounters = map[string]int{
	"Mount": 2, "MountSensitive": 2, "MountSensitiveWithoutSystemd": 2, "MountSensitiveWithoutSystemdWithMountFlags": 2,
	"FormatAndMount": 2, "FormatAndMountSensitive": 2, "FormatAndMountSensitiveWithFormatOptions": 2,
}

// The package that mounters belong to: it hands types on.
const mountUtils = "k8s.io/mount-utils"

// Types that the kernel mounts alone.
var inKernel = map[string]bool{"": true, "auto": true, "bind": true, "tmpfs": true, "hugetlbfs": true}

// Adds a line for every program that this package runs, looks up, or has mount(8) run.
func (p *Package) report(lines map[string]bool) {
	// Variables that stand for exec.Command, as tests like them.
	aliases := map[string]int{}
	for name, values := range p.values {
		for _, value := range values {
			if fun, is := value.(*ast.SelectorExpr); is {
				if index, runs := runners[fun.Sel.Name]; runs {
					aliases[name] = index
				}
			}
		}
	}
	for _, c := range p.calls {
		switch fun := c.Fun.(type) {
		case *ast.Ident:
			if index, is := aliases[fun.Name]; is {
				p.line(lines, "", c.arg(index))
			}
		case *ast.SelectorExpr:
			if index, runs := runners[fun.Sel.Name]; runs && index < len(c.Args) {
				p.line(lines, "", c.arg(index))
			} else if x, is := fun.X.(*ast.Ident); is && fun.Sel.Name == "Exec" && (x.Name == "syscall" || x.Name == "unix") {
				p.line(lines, "", c.arg(0))
			} else if index, mounts := mounters[fun.Sel.Name]; mounts && len(c.Args) > 3 && p.ImportPath != mountUtils && !(is && (x.Name == "syscall" || x.Name == "unix")) {
				p.line(lines, "mount.", c.arg(index))
			}
		}
	}
	p.literals(lines)
}

// The argument of an index. Those of `f(g())` are not distinguished.
func (c call) arg(index int) place {
	if index >= len(c.Args) {
		return place{c.CallExpr, c.in, 0}
	}
	return place{c.Args[index], c.in, 0}
}

// Literals that name a program: exec.Cmd, and kubeadm's checks of PATH.
func (p *Package) literals(lines map[string]bool) {
	for _, functions := range p.functions {
		for _, f := range functions {
			ast.Inspect(f.FuncDecl, func(node ast.Node) bool {
				literal, is := node.(*ast.CompositeLit)
				if !is {
					return true
				}
				field := ""
				switch t := literal.Type.(type) {
				case *ast.Ident:
					if t.Name == "InPathCheck" {
						field = "executable"
					}
				case *ast.SelectorExpr:
					if x, is := t.X.(*ast.Ident); is && t.Sel.Name == "Cmd" && f.file.imports[x.Name] == "os/exec" {
						field = "Path"
					}
				}
				for _, element := range literal.Elts {
					if pair, is := element.(*ast.KeyValueExpr); is && field != "" {
						if key, is := pair.Key.(*ast.Ident); is && key.Name == field {
							p.line(lines, "", place{pair.Value, f, 0})
						}
					}
				}
				return true
			})
		}
	}
}

func (p *Package) line(lines map[string]bool, before string, at place) {
	var names []string
	for name := range p.names {
		names = append(names, name)
	}
	sort.Strings(names)
	where := p.ImportPath + "/" + at.in.file.name
	if at.in.FuncDecl != nil {
		where += " " + at.in.Name.Name
	}
	found := resolve(at, 0)
	kind := "run"
	if !found.complete {
		kind = "any"
		if before != "" {
			// A volume's own type.
			kind, found.texts = "run", append(found.texts, "*")
		} else if len(found.texts) == 0 {
			found.texts = []string{"?"}
		}
	}
	for _, text := range found.texts {
		if before == "" || !inKernel[text] {
			lines[strings.Join([]string{kind, before + text, strings.Join(names, ","), where}, "\t")] = true
		}
	}
}
