"""Every marker that models write around an answer, as one pattern.

Families are written down as kinds of marker, not one by one: a name such as *think* in any of the
brackets that models use. Groups of :data:`MARKER` say what a marker does.
"""

from __future__ import annotations

import regex

_THOUGHT_NAMES = (
    r"think|thinking|thoughts?|reasoning|reason|reflection|reflect|analysis|scratchpad|rationale"
    r"|cot|monologue|deliberation|chain_of_thought"
)
_THOUGHT = rf"(?:[\w-]{{1,20}}[:_.-])?(?:{_THOUGHT_NAMES})(?:[:_-][\w-]{{1,20}})?"
_BRACKETED = r"think|thinking|reasoning|thoughts?"
ANSWERS = (
    # The later kinds count only where there is none of the earlier.
    r"label|short_label|final_label|feature_label|concept|name|title",
    r"answer|final|final_answer|response|output|result|solution|verdict|judge?ment",
    r"explanation|description|summary",
)
_ANSWER = "|".join(ANSWERS)
_BAR = r"[|｜]"
_ROLES = (
    r"assistant|model|user|system|human|bot|tool|developer|ai|gpt|chatbot|ipython|function"
    r"|observation"
)
MARKER = regex.compile(
    rf"""
    # -- channels: harmony, and Gemma's
      (?P<channel> <\|channel\|>\s*(?P<name>analysis|commentary|final|\w+)
          (?:[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>)? )
    | (?P<channel_open> <\|channel> \s*(?P<gemma>\w+)[^\S\n]*\n? )
    | (?P<channel_close> <channel\|> )
    # -- thoughts
    | (?P<close>
        <\s*/\s*{_BAR}?\s*(?P<c1>{_THOUGHT})\s*{_BAR}?\s*>
      | <{_BAR}\s*/\s*(?P<c2>{_THOUGHT})\s*{_BAR}>
      | <{_BAR}end[_▁]?(?:of[_▁])?(?P<c3>{_THOUGHT_NAMES}){_BAR}>
      | <{_BAR}(?P<c4>{_THOUGHT_NAMES})_end{_BAR}> | (?P<inner_close><\|inner_suffix\|>)
      | \[/(?P<c5>{_BRACKETED})\] | ◁/(?P<c6>{_THOUGHT})▷ | 【/(?P<c7>{_BRACKETED})】
      | (?P<unused_close><unused95>) | (?P<details_close></details>)
      | (?P<granite_close>\bHere(?:['’]s|\s+is)\ my\ response:)
      | (?P<spoken_close>(?m:^)[^\S\n]*\.\.\.\s?done\ thinking\.?[^\S\n]*(?m:$)) )
    | (?P<open>
        <\s*{_BAR}?\s*(?P<o1>{_THOUGHT})(?:\s[^<>\n]{{0,120}}(?<!/))?\s*{_BAR}?\s*>
      | <{_BAR}(?:begin|start)[_▁]?(?:of[_▁])?(?P<o3>{_THOUGHT_NAMES}){_BAR}>
      | <{_BAR}(?P<o4>{_THOUGHT_NAMES})_start{_BAR}> | (?P<inner_open><\|inner_prefix\|>)
      | \[(?P<o5>{_BRACKETED})\] | ◁(?P<o6>{_THOUGHT})▷ | 【(?P<o7>{_BRACKETED})】
      | (?P<unused_open><unused94>(?:thought\b)?)
      | (?P<details_open><details\b[^<>]*\breasoning\b[^<>]*>)
      | (?P<granite_open>\A\s*Here(?:['’]s|\s+is)\ my\ thought\ process:)
      | (?P<spoken_open>\A\s*Thinking\.\.\.[^\S\n]*(?m:$)) )
    # -- the answer's own tags
    | (?P<answer_close>
        <\s*/\s*(?P<b1>{_ANSWER})\s*> | <{_BAR}end_(?:of_)?(?:{_ANSWER}|box){_BAR}>
      | \[/(?P<b2>{_ANSWER})\] )
    | (?P<answer_open>
        <\s*(?P<a1>{_ANSWER})(?:\s[^<>\n]{{0,120}})?\s*>
      | <{_BAR}(?:begin|start)_(?:of_)?(?P<a2>{_ANSWER}|box){_BAR}>
      | \[(?P<a3>final_answer|answer|label)\] )
    # -- tools: a call is no answer, whoever forgot to read it as one
    | (?P<call>
        <{_BAR}(?:(?:tool|function)[_▁]calls?(?:[_▁](?:section|list))?(?:[_▁]?(?:begin|start))?
          |python[_-]?tag|tools_prefix|start_action|action_start|plugin){_BAR}>
      | <{_BAR}(?:tool|function)_call>
      | <(?:[\w-]{{1,16}}[:_])?(?:tool_?calls?|function_?calls?|invoke|function)
          (?:[\s=][^<>\n]{{0,120}})?>
      | \[TOOL_CALLS\] )
    # -- turns
    | (?P<turn>
        (?: <{_BAR}(?:im_start|start|begin|start_header_id|start_of_role|begin_of_turn
              |turn_start){_BAR}>
          | <\|turn> | <start_of_turn> | <extra_id_1> | <{_BAR}sep{_BAR}> )
        \s*(?P<role>{_ROLES})?\b
        (?:<{_BAR}(?:end_header_id|end_of_role|im_sep|message){_BAR}>)?
      | <{_BAR}(?P<role2>{_ROLES}){_BAR}> | \[\|(?P<role3>{_ROLES})\|\]
      | <{_BAR}(?P<role4>user|system|chatbot)_token{_BAR}> | \|(?P<role5>assistant|user|system)\|
      | (?:\]~!b\[)?\]~b\](?P<role6>{_ROLES})\b )
    # -- ends, and every other token that is no text
    | (?P<token>
        <{_BAR}[^<>|｜\n]{{1,60}}{_BAR}> | <\|[^\s<>|]{{1,60}}> | <[^\s<>|/]{{1,60}}\|>
      | \[\|[^\[\]|\n]{{1,40}}\|\] | ◁[^◁▷\n]{{1,40}}▷
      | <(?:unused|extra_id_|reserved_|reserved_token_|special_|special_token_)\d+>
      | <0x[0-9A-F]{{2}}>
      | <{_THOUGHT}\s*/>
      | </?(?:s|bos|eos|eot|eod|eom|eop|pad|unk|sep|cls|mask|bot|sop|stop|end|human|gmask|n)>
      | <(?:start|end|begin)[_-]?of[_-]?\w{{1,20}}>
      | </?(?:\w{{1,16}}:(?:bos|eos|eot|pad|unk|sep)|\w{{2,16}}_(?:s|bos|eos|pad|unk))>
      | </(?:[\w-]{{1,16}}[:_])?(?:tool_?calls?|function_?calls?|invoke|function|parameter)>
      | \]~!?b[\[\]] | \[e~\[ | \[(?:UNUSED(?:_TOKEN)?|RESERVED(?:_TOKEN)?)_?\d+\]
      | \[/?(?:INST|SYS|EOS|BOS|SEP|CLS|PAD|UNK|MASK|gMASK|sMASK|EOT|END|STOP|BOT|USER|ASSISTANT
          |SYSTEM_PROMPT|TOOL_RESULTS|AVAILABLE_TOOLS|ARGS|CALL_ID|TOOL_CONTENT)\]
      | <</?SYS>> | \|(?:im_end|im_start|endoftext|eot_id|end)\| )
    """,
    regex.VERBOSE | regex.IGNORECASE,
)
