// One upload is read by all peers.
import './browser.mjs'
import './car.mjs'
import './index.mjs'
import './piece.mjs'
