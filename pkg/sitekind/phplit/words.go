package phplit

import "slices"

// isDeclaration says whether a statement that begins like this ends with its
// braces.
func isDeclaration(tokens []token) bool {
	if len(tokens) == 0 {
		return false
	}
	switch tokens[0].keyword() {
	case "class", "abstract", "final", "readonly", "interface", "trait", "enum":
		return len(tokens) > 1 && tokens[1].kind == tokName
	case "function":
		return len(tokens) > 1 && (tokens[1].kind == tokName || tokens[1].is("&") && len(tokens) > 2 && tokens[2].kind == tokName)
	case "namespace":
		return true
	}
	return false
}

func isOperand(t token) bool {
	return t.kind == tokString || t.kind == tokTemplate || t.kind == tokNumber || t.kind == tokVariable
}

// takesOperand says whether a word is no function, so that parentheses after
// it are a part of its operand, or a cast.
func takesOperand(t token) bool {
	words := []string{"echo", "print", "return", "include", "include_once", "require", "require_once", "throw",
		"yield", "from", "clone", "new", "and", "or", "xor", "instanceof"}
	return slices.Contains(words, t.keyword())
}

// joins says whether a name may follow an operand.
func joins(t token) bool {
	words := []string{"and", "or", "xor", "instanceof", "as", "insteadof", "use", "extends", "implements"}
	return slices.Contains(words, t.keyword())
}

// unfinished says whether two tokens cannot stand beside each other in one
// statement: two operands with nothing between them.
func unfinished(before, t token) bool {
	return isOperand(before) && (isOperand(t) || t.kind == tokName && !joins(t))
}
