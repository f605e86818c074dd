#!/usr/bin/env python3
"""Compares ways to run a model on a machine whose speed does not hold still.

Each way ("arm") is a process of its own that decodes a few tokens, or runs a
prompt, when its turn comes and waits while the others have theirs; every round
has each arm once, the next round in reverse. What is compared is the time of
turns of the same round. All arms decode the same tokens.

    bench/turns.py MODEL NAME[=FLAGS]...
    bench/turns.py m.sluice both none='--predictor none' --common '--memory 2G' \\
        --wrap 'systemd-run --scope -q -p MemoryMax=2G' --meter 1G

Prints a line per arm: tokens/s (median and quartiles of the turns), its time
over the first arm's (geometric mean and standard error over the rounds), flash
bytes per token, hits, milliseconds of stall and of processor time per token,
guesses that were used over those made, and the rate that the plan expected over
the median. With --meter also the share of the bound (streaming: the larger of
the weights' bytes over the memory's rate and the missed bytes over the flash's;
prompts: of multiplications and of reads), as measured in each round, memory and
multiplications just before and after each turn; "at once" is the share of what
memory and flash allow while both are read.
"""
import argparse
import json
import math
import shlex
import statistics
import subprocess
import sys


class Arm:
    def __init__(self, command):
        self.turns = []
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ready = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit('turns.py: ended: ' + ' '.join(self.process.args))
        return json.loads(line)

    def turn(self):
        self.process.stdin.write('turn\n')
        self.process.stdin.flush()
        return self.read()

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('model', help='the model of arms that name none')
    parser.add_argument('arms', nargs='+', metavar='NAME[=FLAGS]',
                        help='flags of `sluice run`; --model PATH: of another;\n'
                             '--turn PATH: of another build')
    parser.add_argument('--turn', default='build/bench/bench/turn',
                        help='the program (default %(default)s)')
    parser.add_argument('--kind', choices=['decode', 'prompt'],
                        default='decode')
    parser.add_argument('--tokens', default='8', help='of a turn (default 8)')
    parser.add_argument('--rounds', type=int, default=20)
    parser.add_argument('--warm', type=int, default=4,
                        help='first rounds that do not count (default 4)')
    parser.add_argument('--seed', default='1')
    parser.add_argument('--common', default='', help='flags of every arm')
    parser.add_argument('--wrap', default='',
                        help='command that runs each arm, such as a memory cap')
    parser.add_argument('--wrap-all', default='',
                        help='the same, of the meter too, such as a slow disk')
    parser.add_argument('--meter', metavar='SIZE',
                        help='measure bounds with this much memory')
    parser.add_argument('--json', action='store_true')
    return parser.parse_args()


def command(args, kind, flags, wrap):
    flags = shlex.split(flags)

    def own(name, common):
        if name not in flags:
            return common
        at = flags.index(name)
        value = flags[at + 1]
        del flags[at:at + 2]
        return value

    program = own('--turn', args.turn)
    model = own('--model', args.model)
    return [*shlex.split(args.wrap_all), *shlex.split(wrap), program, kind,
            model, '--seed', args.seed, *flags]


def start(args):
    arms = {}
    for text in args.arms:
        name, _, flags = text.partition('=')
        flags = f'--tokens {args.tokens} {args.common} {flags}'
        arms[name] = Arm(command(args, args.kind, flags, args.wrap))
    meter = None
    if args.meter:
        meter = Arm(command(args, 'meter',
                            f'--memory {args.meter} -c 512 --stream', ''))
    return arms, meter


def run(args, arms, meter):
    for i in range(args.rounds + args.warm):
        names = list(arms) if i % 2 == 0 else list(arms)[::-1]
        allowed = meter.turn() if meter else None
        for name in names:
            turn = arms[name].turn()
            turn['allowed'] = allowed
            if i >= args.warm:
                arms[name].turns.append(turn)
        if sys.stderr.isatty():
            print(f'\rround {i + 1} of {args.rounds + args.warm}', end='',
                  file=sys.stderr)


def share(kind, turn):
    """Of its bound, in the rates of its round."""
    allowed = turn['allowed']
    flash = allowed['flash_bytes_per_second']
    tokens = turn['tokens']
    least = turn['flash_bytes'] / flash if flash else 0
    if kind == 'decode':
        dram = allowed['decode_bytes'] / turn['dram_bytes_per_second']
        least = max(least, tokens * dram)
    else:
        macs = allowed['prefill_macs'] * tokens + allowed['output_macs']
        least = max(least, macs / turn['int8_macs_per_second'])
    return least / turn['seconds']


def share_at_once(turn):
    """Of what memory and flash allow beside each other: with the best overlap
    of a decoded token's weights and reads."""
    allowed = turn['allowed']
    dram, flash = turn['dram_bytes_per_second'], allowed['flash_bytes_per_second']
    # Memory's rate is that next to the turn; what the flash leaves of it, the
    # round's.
    kept = (allowed['dram_beside_flash_bytes_per_second'] /
            allowed['dram_bytes_per_second'])
    dram_beside = kept * dram
    flash_beside = allowed['flash_beside_dram_bytes_per_second']
    weights = turn['tokens'] * allowed['decode_bytes']
    reads = turn['flash_bytes']
    both = min(weights / dram_beside, reads / flash_beside)
    least = min(weights / dram + reads / flash,
                both + (weights - dram_beside * both) / dram +
                (reads - flash_beside * both) / flash)
    return least / turn['seconds']


def summary(args, arm, first):
    turns = arm.turns
    tokens = sum(turn['tokens'] for turn in turns)

    def total(field):
        return sum(turn[field] for turn in turns)

    rates = [turn['tokens'] / turn['seconds'] for turn in turns]
    quarter = statistics.quantiles(rates, n=4)
    ratios = [math.log(mine['seconds'] / its['seconds'])
              for mine, its in zip(turns, first.turns)]
    ratio = math.exp(statistics.mean(ratios))
    of_bound = [share(args.kind, turn) for turn in turns if turn['allowed']]
    at_once = [share_at_once(turn) for turn in turns
               if turn['allowed'] and args.kind == 'decode']
    return {
        'mode': arm.ready['mode'],
        'tokens_per_second': statistics.median(rates),
        'quartiles': [quarter[0], quarter[2]],
        'time_of_first': ratio,
        'standard_error': ratio * statistics.stdev(ratios) / len(ratios)**.5,
        'flash_bytes_per_token': total('flash_bytes') / tokens,
        'reads_per_token': total('reads') / tokens,
        'hit_rate': total('hits') / max(1, total('lookups')),
        'stall_ms_per_token': 1e3 * total('stall_seconds') / tokens,
        'cpu_ms_per_token': 1e3 * total('cpu_seconds') / tokens,
        'prefetch_issued': total('prefetch_issued'),
        'prefetch_used': total('prefetch_useful') + total('prefetch_late'),
        'expected_over_measured':
            arm.ready['expected_tokens_per_second'] / statistics.median(rates),
        'share_of_bound': statistics.median(of_bound) if of_bound else None,
        'share_at_once': statistics.median(at_once) if at_once else None,
        'planned': {key.removeprefix('expected_'): value
                    for key, value in arm.ready.items()
                    if key.startswith('expected_')},
        'peak_bytes': max(turn['peak_bytes'] for turn in turns),
    }


def line(args, name, it):
    text = (f"{name:<12} {it['tokens_per_second']:7.2f} "
            f"({it['quartiles'][0]:.2f}..{it['quartiles'][1]:.2f})  "
            f"time {it['time_of_first']:.3f} ({it['standard_error']:.3f})  "
            f"{it['flash_bytes_per_token'] / 1e6:.2f} MB  "
            f"hits {it['hit_rate']:.3f}  stall {it['stall_ms_per_token']:.1f}  "
            f"cpu {it['cpu_ms_per_token']:.1f}  "
            f"guesses {it['prefetch_used']}/{it['prefetch_issued']}")
    if args.kind == 'decode':
        planned = it['planned']
        text += (f"  planned {it['expected_over_measured']:.2f}"
                 f" (hits {planned['hit_rate']:.3f},"
                 f" ms {1e3 * planned['compute_seconds']:.1f}"
                 f" + {1e3 * planned['stall_seconds']:.1f})")
    if it['share_of_bound'] is not None:
        text += f"  of bound {it['share_of_bound']:.2f}"
    if it['share_at_once'] is not None:
        text += f"  at once {it['share_at_once']:.2f}"
    return text


def main():
    args = arguments()
    arms, meter = start(args)
    run(args, arms, meter)
    for arm in [*arms.values(), *([meter] if meter else [])]:
        arm.end()
    first = next(iter(arms.values()))
    found = {name: summary(args, arm, first) for name, arm in arms.items()}
    if args.json:
        print(json.dumps(found))
        return
    if sys.stderr.isatty():
        print(file=sys.stderr)
    for name, it in found.items():
        print(line(args, name, it))
    if meter:
        rates = [turn['allowed'] for turn in first.turns]
        for field in ('dram_bytes_per_second', 'flash_bytes_per_second',
                      'dram_beside_flash_bytes_per_second',
                      'flash_beside_dram_bytes_per_second',
                      'int8_macs_per_second'):
            values = statistics.quantiles([rate[field] for rate in rates], n=4)
            print(f'{field}: ' + ' '.join(f'{v / 1e9:.2f}' for v in values) +
                  ' thousand millions (quartiles)')


if __name__ == '__main__':
    main()
