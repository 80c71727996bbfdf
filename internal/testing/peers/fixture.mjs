// A tree of all that is odd, prepared by the guppy under test, which GUPPY names.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const guppyPath = process.env.GUPPY
assert(guppyPath, 'GUPPY has to name the program under test')

const oddNames = ['with space', 'ünïcödé ☃ 🐟', 'quote\'"s <b>', 'per%20cent', '#hash?&=+', '-dash', '.dot', 'back\\slash', 'new\nline', 'tab\t']

// manyFiles are more than a plain directory holds.
const manyFiles = 3500

// random gives the same bytes each time.
function random (length, seed) {
  const parts = []
  for (let i = 0; i * 32 < length; i++) parts.push(createHash('sha256').update(`${seed} ${i}`).digest())
  return Buffer.concat(parts).subarray(0, length)
}

// makeTree has in plain what every tool knows, and a symlink beside it.
function makeTree (root) {
  const plain = join(root, 'plain')
  mkdirSync(join(plain, 'empty directory', 'deeper'), { recursive: true })
  writeFileSync(join(plain, 'hello.txt'), 'hello world')
  writeFileSync(join(plain, 'empty'), '')
  writeFileSync(join(plain, 'one chunk'), random(1 << 20, 'one'))
  writeFileSync(join(plain, 'multi.bin'), random(3.5 * (1 << 20) + 7, 'multi'))
  writeFileSync(join(plain, 'copy.bin'), random(3.5 * (1 << 20) + 7, 'multi'))
  for (const name of oddNames) {
    mkdirSync(join(plain, 'odd', `in ${name}`), { recursive: true })
    writeFileSync(join(plain, 'odd', name), name)
    writeFileSync(join(plain, 'odd', `in ${name}`, name), `${name} below`)
  }
  mkdirSync(join(plain, 'many'))
  for (let i = 0; i < manyFiles; i++) {
    writeFileSync(join(plain, 'many', `a file with a name that is rather long ${i}`), `${i}`)
  }
  symlinkSync('plain/hello.txt', join(root, 'link'))
}

// repository has one upload of the tree. It goes when the tests end.
export const repository = prepare()

function prepare () {
  const dir = mkdtempSync(join(tmpdir(), 'guppy-peers-'))
  after(() => rmSync(dir, { recursive: true, force: true }))
  const tree = join(dir, 'tree')
  makeTree(tree)
  const env = { ...process.env, HOME: dir, XDG_CONFIG_HOME: join(dir, 'config'), GUPPY_DATA_DIR: join(dir, 'data') }
  const guppy = (...args) => execFileSync(guppyPath, args, { env, maxBuffer: 1 << 30, stdio: ['ignore', 'pipe', 'inherit'] })
  const json = (...args) => JSON.parse(guppy(...args, '--json'))
  const report = json('prepare', tree, '--piece-cid', '--shard-size', '2MiB', '--log-level', 'warn')
  assert.equal(report.state, 'complete')
  const bytesOf = shard => readFileSync(fileURLToPath(shard.location))
  return { dir, tree, env, guppy, json, report, bytesOf }
}

// serve begins a gateway and returns its URL.
export async function serve () {
  const server = spawn(guppyPath, ['serve', '--listen', '127.0.0.1:0', '--json'], { env: repository.env, stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise(resolve => server.once('exit', resolve))
  after(async () => {
    server.kill('SIGTERM')
    assert.equal(await ended, 0, 'how serve ended')
  })
  for await (const line of createInterface({ input: server.stdout })) return JSON.parse(line)
  throw new Error('serve said nothing')
}
