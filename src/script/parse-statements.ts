import type { Block, ForeachNode, Statement } from "./ast.js";
import { ContextParser } from "./parse-context.js";
import type { Position } from "./position.js";

/** Statements; see SystemTap's language reference, chapter 5. */
export class StatementParser extends ContextParser {
  protected block(): Block {
    const { position } = this.peek();
    this.expect("{");
    const statements: Statement[] = [];
    while (!this.takes("}")) {
      if (this.peek().kind === "end") throw this.expected("'}'");
      statements.push(this.statement());
    }
    return { kind: "block", position, statements };
  }

  private statement(): Statement {
    const { position, text, kind } = this.peek();
    if (text === "{" && kind === "operator") return this.block();
    if (this.takes(";")) return { kind: "empty", position };
    const statement = kind === "identifier" ? this.keyword(text, position) : undefined;
    if (statement !== undefined) return statement;
    const expression = this.expression();
    this.takes(";");
    return { kind: "expression", position, expression };
  }

  private keyword(word: string, position: Position): Statement | undefined {
    switch (word) {
      case "if":
        return this.ifStatement(position);
      case "while": {
        this.advance();
        this.expect("(");
        const condition = this.expression();
        this.expect(")");
        return {
          kind: "for",
          position,
          initial: undefined,
          condition,
          step: undefined,
          body: this.statement(),
        };
      }
      case "for":
        return this.forStatement(position);
      case "foreach":
        return this.foreachStatement(position);
      case "break":
      case "continue":
      case "next":
        this.advance();
        // The mail writes `next();`, as a call.
        if (word === "next" && this.takes("(")) this.expect(")");
        this.takes(";");
        return { kind: word, position };
      case "return": {
        this.advance();
        const ends = this.takes(";") || this.peek().text === "}";
        const value = ends ? undefined : this.expression();
        this.takes(";");
        return { kind: "return", position, value };
      }
      case "delete": {
        this.advance();
        const target = this.expression();
        this.takes(";");
        return { kind: "delete", position, target };
      }
      case "try":
        return this.tryStatement(position);
      default:
        return undefined;
    }
  }

  private ifStatement(position: Position): Statement {
    this.advance();
    this.expect("(");
    const condition = this.expression();
    this.expect(")");
    const then = this.statement();
    const otherwise = this.takesWord("else") ? this.statement() : undefined;
    return { kind: "if", position, condition, then, otherwise };
  }

  private forStatement(position: Position): Statement {
    this.advance();
    this.expect("(");
    const initial = this.takes(";") ? undefined : this.expression();
    if (initial !== undefined) this.expect(";");
    const condition = this.takes(";") ? undefined : this.expression();
    if (condition !== undefined) this.expect(";");
    const step = this.takes(")") ? undefined : this.expression();
    if (step !== undefined) this.expect(")");
    return { kind: "for", position, initial, condition, step, body: this.statement() };
  }

  private foreachStatement(position: Position): Statement {
    this.advance();
    this.expect("(");
    let value: string | undefined;
    let sortBy: number | undefined;
    let descending = false;
    const sorts = (index: number): void => {
      if (this.peek().text !== "+" && this.peek().text !== "-") return;
      if (sortBy !== undefined)
        throw this.sources.problem("parse", "multiple sort directives", this.peek().position);
      descending = this.advance().text === "-";
      sortBy = index;
    };
    if (this.peek(1).text === "=") {
      value = this.identifier();
      sorts(0);
      this.expect("=");
    }
    const keys: string[] = [];
    if (this.takes("[")) {
      do {
        keys.push(this.identifier());
        sorts(keys.length);
      } while (this.takes(","));
      this.expect("]");
    } else {
      keys.push(this.identifier());
      sorts(1);
    }
    if (!this.takesWord("in")) throw this.expected("'in'");
    const array = this.identifier();
    const slice = this.takes("[") ? this.list("]") : [];
    let statistic: string | undefined;
    if (this.peek().kind === "operator" && /^@(count|sum|min|max|avg|variance)$/.test(this.peek().text)) {
      statistic = this.advance().text.slice(1);
    }
    sorts(0);
    const limit = this.takesWord("limit") ? this.expression() : undefined;
    this.expect(")");
    const node: ForeachNode = {
      kind: "foreach",
      position,
      keys,
      value,
      array,
      slice,
      sortBy,
      descending,
      statistic,
      limit,
      body: this.statement(),
    };
    return node;
  }

  private tryStatement(position: Position): Statement {
    this.advance();
    const body = this.block();
    if (!this.takesWord("catch")) throw this.expected("'catch'");
    let message: string | undefined;
    if (this.takes("(")) {
      message = this.identifier();
      this.expect(")");
    }
    return { kind: "try", position, body, message, handler: this.block() };
  }
}
