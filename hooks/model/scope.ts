/**
 * Whose run it is: the interventions it is under, what it is watched by, and what is known of its request. A view of a model has
 * a scope, every call on it one of its own that begins with what the view has at that moment, so that calls may overlap.
 */
import { AttuneError } from '../../errors.ts';
import type { LiveGraph, Overlay } from './live-graph.ts';
import type { Report } from './report.ts';
import type { RequestTracker } from './request.ts';
import type { Lease } from './session-pool.ts';
import type { Stack } from './stack.ts';

export interface Scope {
  readonly stack: Stack;
  readonly overlay: Overlay | undefined;
  readonly tracker: RequestTracker;
  /** What interventions said of their last calls. */
  readonly reports: Map<string, Report>;
}

/** Of a view: what it stands for may change between calls. */
export class ViewScope implements Scope {
  stack: Stack;
  readonly overlay: Overlay | undefined;
  readonly tracker: RequestTracker;
  readonly reports: Map<string, Report>;

  constructor(stack: Stack, tracker: RequestTracker, overlay?: Overlay, reports = new Map<string, Report>()) {
    this.stack = stack;
    this.tracker = tracker;
    this.overlay = overlay;
    this.reports = reports;
  }

  /** A scope of its own, which this one hears nothing of. */
  apart(stack: Stack): ViewScope {
    return new ViewScope(stack, this.tracker.apart(), this.overlay);
  }

  /** For a time: what runs in it is taken for this one's last call. */
  within(stack: Stack): ViewScope {
    return new ViewScope(stack, this.tracker.fork(), this.overlay, this.reports);
  }

  /** @throws AttuneError OVERLAY_NESTED */
  withOverlay(overlay: Overlay): ViewScope {
    return new ViewScope(this.stack, this.tracker.fork(), nested(this.overlay, overlay), this.reports);
  }
}

function nested(outer: Overlay | undefined, inner: Overlay): Overlay {
  if (!outer) return inner;
  throw new AttuneError('OVERLAY_NESTED', {
    found: `${inner.key} inside ${outer.key}`,
    hint: 'Finish one runWithCache or runWithHooks before starting the next, or call it on the model itself.',
  });
}

/** Of one call, a forward or a whole generation. It keeps the session it began on until it ends. */
export class CallScope implements Scope {
  readonly stack: Stack;
  readonly overlay: Overlay | undefined;
  readonly tracker: RequestTracker;
  readonly reports: Map<string, Report>;
  /** Whether tokens are chosen from what it computes. */
  readonly generating: boolean;
  readonly #leases: Lease[] = [];

  constructor({ stack, overlay, tracker, reports }: Scope, generating: boolean) {
    this.stack = stack;
    this.overlay = overlay;
    this.tracker = tracker;
    this.reports = reports;
    this.generating = generating;
  }

  /** A call on a view, under what it has now or under other interventions. */
  static on(view: ViewScope, generating: boolean, stack: Stack = view.stack): CallScope {
    const { overlay, tracker, reports } = view;
    return new CallScope({ stack, overlay, tracker: tracker.fork(), reports }, generating);
  }

  /** The same call's second stream: other interventions, a request of its own, watched only where hooks write. */
  aside(stack: Stack): CallScope {
    const overlay = this.overlay?.runner ? this.overlay : undefined;
    return new CallScope({ stack, overlay, tracker: this.tracker.apart(), reports: new Map() }, false);
  }

  /** The same call with hook points to listen to. */
  watched(overlay: Overlay): CallScope {
    const { stack, tracker, reports, generating } = this;
    return new CallScope({ stack, overlay: nested(this.overlay, overlay), tracker, reports }, generating);
  }

  /** A lease it holds already. */
  held(wish: LiveGraph): Lease | undefined {
    return this.#leases.find(({ graph }) => graph.serves(wish));
  }

  hold(lease: Lease): void {
    this.#leases.push(lease);
  }

  end(): void {
    for (const lease of this.#leases.splice(0)) lease.end();
  }
}
